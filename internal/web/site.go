package web

import (
	"context"
	"maps"
	"net/http"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// addRoutes adds what the server answers by itself.
func (s *Server) addRoutes() error {
	customer, err := s.o.Auth.required(false)
	if err != nil {
		return err
	}
	operator, err := s.o.Auth.required(true)
	if err != nil {
		return err
	}
	s.routes = Routes{
		Public:   Router{echo: s.public.echo, prefix: Prefix},
		Anyone:   Router{echo: s.public.echo, prefix: Prefix, before: []echo.MiddlewareFunc{ifThere(customer)}},
		Customer: Router{echo: s.public.echo, prefix: Prefix, before: []echo.MiddlewareFunc{customer}},
		Admin:    Router{echo: s.admin.echo, prefix: AdminPrefix, before: []echo.MiddlewareFunc{operator}},
	}
	p := &probes{checks: s.checks(), draining: s.stop}
	for _, site := range s.sites() {
		r := Router{echo: site.echo}
		r.GET("/livez", p.live)
		r.GET("/readyz", p.ready)
		r.GET("/version", s.version)
	}
	Router{echo: s.admin.echo}.GET("/metrics", s.exposeMetrics())
	r := Router{echo: s.public.echo}
	r.GET("/problems", listProblems)
	r.GET("/problems/:kind", explainProblem)
	r.GET("/api/swagger.json", s.document)
	r.GET("/docs", showPage)
	r.GET("/docs/:file", showPageFile)
	return nil
}

// checks are those handed in, and our own.
func (s *Server) checks() map[string]func(context.Context) error {
	all := map[string]func(context.Context) error{}
	maps.Copy(all, s.o.Checks)
	if s.o.Auth.keySet != nil {
		all["jwks"] = s.o.Auth.keySet.ready
	}
	return all
}

// version says what is running.
//
//	@Summary	What is running
//	@Tags		probes
//	@Produce	json
//	@Success	200	{object}	Version
//	@Router		/version [get]
func (s *Server) version(c echo.Context) error { return JSON(c, http.StatusOK, s.o.Version) }

// exposeMetrics gives the metrics to Prometheus.
//
//	@Summary	Metrics for Prometheus
//	@Tags		probes
//	@Produce	plain
//	@Success	200	{string}	string
//	@Router		/metrics [get]
func (s *Server) exposeMetrics() echo.HandlerFunc {
	return echo.WrapHandler(promhttp.HandlerFor(s.o.Registry, promhttp.HandlerOpts{}))
}

// document gives the API's own description.
//
//	@Summary	This document
//	@Tags		documents
//	@Produce	json
//	@Success	200	{object}	object
//	@Router		/api/swagger.json [get]
func (s *Server) document(c echo.Context) error {
	c.Response().Header().Set(echo.HeaderCacheControl, "public, max-age=300")
	return c.Blob(http.StatusOK, echo.MIMEApplicationJSON, s.o.Document)
}
