package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// StreamBeat is how often a stream on which nothing happens must Beat, so that no one in between takes it for dead.
const StreamBeat = 15 * time.Second

// reconnectAfter is how long a client waits until it asks again for a stream that has broken off.
const reconnectAfter = time.Second

// Streams opens streams of server-sent events, a bounded number of them: each takes a connection for as long as it lasts.
type Streams struct {
	places *Places
}

// NewStreams allows so many streams at once, in all and for one customer.
func NewStreams(limit, perCustomer int) *Streams {
	return &Streams{places: NewPlaces(limit, perCustomer)}
}

// Stream is an answer that goes on: server-sent events. The request's context ends when the client leaves, and when the server is
// told to stop. The time-outs of the server count from the last event or beat.
type Stream struct {
	c       echo.Context
	leave   func()
	started bool
}

// Open takes a place for a stream, and refuses with rate-limited when there is none. Nothing is sent yet: the handler may still
// answer otherwise. The stream must be closed.
func (s *Streams) Open(c echo.Context) (*Stream, error) {
	leave, ok := s.places.Take(c)
	if !ok {
		f := fault.New(fault.RateLimited, "Too many streams are open: close one, or ask for the order itself.")
		f.RetryAfter = 5 * time.Second
		return nil, f
	}
	return &Stream{c: c, leave: leave}, nil
}

// Close gives the place back.
func (s *Stream) Close() { s.leave() }

// Send sends an event with v as JSON. A client that comes back says the id of the last one that it got.
func (s *Stream) Send(id int64, event string, v any) error {
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil { // on one line, and ended by one
		return fmt.Errorf("encode event %T: %w", v, err)
	}
	return s.write(fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n", id, event, data.Bytes()))
}

// Beat says that the stream is alive.
func (s *Stream) Beat() error { return s.write(": beat\n\n") }

func (s *Stream) write(text string) error {
	if !s.started {
		s.start()
		text = fmt.Sprintf("retry: %d\n\n%s", reconnectAfter.Milliseconds(), text)
	}
	extend(s.c, 2*StreamBeat)
	if _, err := s.c.Response().Write([]byte(text)); err != nil {
		return err
	}
	return http.NewResponseController(s.c.Response().Writer).Flush()
}

func (s *Stream) start() {
	s.started = true
	endWhenStopping(s.c)
	h := s.c.Response().Header()
	h.Set(echo.HeaderContentType, "text/event-stream")
	h.Set(echo.HeaderCacheControl, "no-store")
	h.Set("X-Accel-Buffering", "no") // a proxy in between passes on what there is
	s.c.Response().WriteHeader(http.StatusOK)
}

// LastEventID is the id of the last event that a client has got of a stream that it asks for again; 0: from the beginning.
func LastEventID(c echo.Context) int64 {
	id, err := strconv.ParseInt(c.Request().Header.Get("Last-Event-ID"), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
