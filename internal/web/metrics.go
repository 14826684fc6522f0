package web

import (
	"fmt"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	seconds *prometheus.HistogramVec
	running prometheus.Gauge
	closed  prometheus.Counter
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "holdfast_http_request_seconds",
			Help:    "Time from a request's header to the end of its answer, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"method", "route", "status"}),
		running: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_http_requests_running", Help: "Requests being answered.",
		}),
		closed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_http_connections_closed_total", Help: "Connections closed because too many were open: idle ones, and new ones of an address that has too many.",
		}),
	}
	for _, c := range []prometheus.Collector{m.seconds, m.running, m.closed} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("metrics of the HTTP server: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) request(c echo.Context, took time.Duration) {
	m.seconds.WithLabelValues(methodLabel(c.Request().Method), routeLabel(c), statusLabel(c)).Observe(took.Seconds())
}
