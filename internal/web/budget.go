package web

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
)

// grace is how long an answer may take to be written once the request's time is over.
const grace = 5 * time.Second

// budget is the time that one request may take: its context ends with it, and so do reading and writing on the connection.
type budget struct {
	conn     *http.ResponseController
	timer    *time.Timer
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
				timer:    time.AfterFunc(usual, func() { cancel(context.DeadlineExceeded) }),
				usual:    usual,
				bodyRead: r.ContentLength == 0,
			}
			defer b.timer.Stop()
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

// extendByWait adds a wait that the caller asked for to the usual time.
func extendByWait(c echo.Context, wait time.Duration) {
	if b, ok := c.Get(budgetKey).(*budget); ok {
		extend(c, b.usual+wait)
	}
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
