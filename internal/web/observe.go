package web

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

const requestKey = "holdfast.request"

// request is how one request is called in answers, logs and traces.
type request struct {
	id    string // ours, never the client's word
	trace traceParent
}

// TraceParent is the W3C trace context that facts said by this request carry on.
func TraceParent(c echo.Context) string {
	r, _ := c.Get(requestKey).(request)
	return r.trace.String()
}

// RequestID is the id under which the log knows this request.
func RequestID(c echo.Context) string {
	r, _ := c.Get(requestKey).(request)
	return r.id
}

// observe names the request, answers errors, writes one log line and counts. It is the only place where a request's error
// is logged.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		id := uuid.Must(uuid.NewV7())
		c.Set(requestKey, request{id: hex.EncodeToString(id[:]), trace: childOf(c.Request().Header.Get("Traceparent"))})
		c.Response().Header().Set(echo.HeaderXRequestID, RequestID(c))
		err := recovered(next)(c)
		if err != nil {
			c.Error(err)
		}
		took := time.Since(start)
		s.metrics.request(c, took)
		s.logRequest(c, err, took)
		return nil
	}
}

// recovered turns a panic into an error with its stack.
func recovered(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		return next(c)
	}
}

// handleError is echo's error handler: every error becomes a problem, here and nowhere else.
func (s *Server) handleError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, _ := problemOf(err, s.o.Unavailable)
	p.Instance = "/requests/" + RequestID(c)
	if err := writeProblem(c, p); err != nil {
		s.o.Log.Debug("problem not written", "request_id", RequestID(c), "error", err)
	}
}

func (s *Server) logRequest(c echo.Context, err error, took time.Duration) {
	r, _ := c.Get(requestKey).(request)
	level := usualLevel(c)
	if err == nil && !s.o.Log.Enabled(context.Background(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", methodLabel(c.Request().Method)), slog.String("route", routeLabel(c)),
		slog.Int("status", c.Response().Status), slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.Int64("bytes", c.Response().Size), slog.String("client", c.RealIP()), slog.String("request_id", r.id), slog.String("trace_id", r.trace.traceID),
	}
	if who := Customer(c); who != "" {
		attrs = append(attrs, slog.String("customer", who))
	}
	if err != nil {
		p, ours := problemOf(err, s.o.Unavailable)
		attrs = append(attrs, slog.String("problem", p.Type))
		switch {
		case ours && p.Status == http.StatusInternalServerError:
			level = slog.LevelError
			attrs = append(attrs, slog.Any("error", err))
		case ours:
			level = slog.LevelWarn
			attrs = append(attrs, slog.Any("error", err), slog.Any("cause", context.Cause(c.Request().Context())))
		}
	}
	// The request's context may have ended; what is logged does not depend on it.
	s.o.Log.LogAttrs(context.WithoutCancel(c.Request().Context()), level, "request", attrs...)
}

// usualLevel hides what probes ask every few seconds.
func usualLevel(c echo.Context) slog.Level {
	switch c.Path() {
	case "/livez", "/readyz", "/metrics":
		return slog.LevelDebug
	default:
		return slog.LevelInfo
	}
}

// methodLabel keeps clients from making a time series per word.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	default:
		return "OTHER"
	}
}

// routeLabel is the pattern that matched, so that ids make no time series.
func routeLabel(c echo.Context) string {
	// A method that a route does not have is not that route: else clients would make a time series for each pair of them.
	if c.Path() == "" || c.Response().Status == http.StatusMethodNotAllowed {
		return "none"
	}
	return c.Path()
}

func statusLabel(c echo.Context) string { return strconv.Itoa(c.Response().Status) }
