package web

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// headByGet answers HEAD by what answers GET; net/http leaves the body out.
func headByGet(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			get := *r
			get.Method = http.MethodGet
			r = &get
		}
		h.ServeHTTP(w, r)
	})
}

// inFlight counts the requests being answered, so that Run can wait for their handlers: a server that is closed by force
// does not.
type inFlight struct {
	gauge   prometheus.Gauge
	mu      sync.Mutex // orders the last enter before the wait
	closed  bool
	running sync.WaitGroup
}

func (f *inFlight) count(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.enter() {
			panic(http.ErrAbortHandler) // its connection is being closed
		}
		defer f.leave()
		h.ServeHTTP(w, r)
	})
}

func (f *inFlight) enter() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.running.Add(1)
		f.gauge.Inc()
	}
	return !f.closed
}

func (f *inFlight) leave() {
	f.gauge.Dec()
	f.running.Done()
}

// close lets nobody in any more and waits for those who are.
func (f *inFlight) close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.running.Wait()
}
