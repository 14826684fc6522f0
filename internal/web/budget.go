package web

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// grace is how long an answer may take to be written once the request's time is over.
const grace = 5 * time.Second

// budget is the time that one request may take: its context ends with it, and so do reading and writing on the connection.
type budget struct {
	conn     *http.ResponseController
	cancel   context.CancelCauseFunc // of the request's context
	timer    *time.Timer
	unhook   func() bool // from the server's end, for a request that waits
	usual    time.Duration
	end      time.Time
	bodyRead bool
}

const budgetKey = "holdfast.budget"

// limitTime gives every request the usual time. It is no context.WithTimeout because routes may take more, see Timeout.
func limitTime(usual time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			r := c.Request()
			ctx, cancel := context.WithCancelCause(r.Context())
			defer cancel(nil)
			b := &budget{
				conn:     http.NewResponseController(c.Response().Writer),
				cancel:   cancel,
				unhook:   func() bool { return false },
				timer:    time.AfterFunc(usual, func() { cancel(context.DeadlineExceeded) }),
				usual:    usual,
				bodyRead: r.ContentLength == 0,
			}
			defer b.close()
			b.set(usual)
			c.Set(budgetKey, b)
			c.SetRequest(r.WithContext(ctx))
			return next(c)
		}
	}
}

// Timeout is middleware for a route that may take longer than usual.
func Timeout(d time.Duration) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			extend(c, d)
			return next(c)
		}
	}
}

func extend(c echo.Context, d time.Duration) {
	if b, ok := c.Get(budgetKey).(*budget); ok {
		b.timer.Reset(d)
		b.set(d)
	}
}

// stoppingKey is where a request's context holds the one that ends when the server is told to stop.
type stoppingKey struct{}

var errStopping = errors.New("the server stops")

// extendByWait adds a wait that the caller asked for to the usual time, and ends it when the server stops.
func extendByWait(c echo.Context, wait time.Duration) {
	b, ok := c.Get(budgetKey).(*budget)
	if !ok {
		return
	}
	extend(c, b.usual+wait)
	endWhenStopping(c)
}

// endWhenStopping ends the request's context when the server is told to stop.
func endWhenStopping(c echo.Context) {
	b, ok := c.Get(budgetKey).(*budget)
	if !ok {
		return
	}
	if stopping, ok := c.Request().Context().Value(stoppingKey{}).(context.Context); ok {
		b.unhook()
		b.unhook = context.AfterFunc(stopping, func() { b.cancel(errStopping) })
	}
}

func (b *budget) close() {
	b.timer.Stop()
	b.unhook()
}

// set moves the connection's deadlines. The one for reading counts after the body too: net/http goes on reading to notice
// a client that leaves, and ends the request's context when that read times out. While the body is still to come, the
// server's own time-out for reading stays. A writer without deadlines, as tests use, has none to set.
func (b *budget) set(d time.Duration) {
	b.end = time.Now().Add(d + grace)
	_ = b.conn.SetWriteDeadline(b.end)
	if b.bodyRead {
		_ = b.conn.SetReadDeadline(b.end)
	}
}

// bodyWasRead is called when the body has come in whole: from now on only the request's own time counts.
func bodyWasRead(c echo.Context) {
	if b, ok := c.Get(budgetKey).(*budget); ok && !b.bodyRead {
		b.bodyRead = true
		_ = b.conn.SetReadDeadline(b.end)
	}
}
