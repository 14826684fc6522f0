package sandbox

import (
	"bytes"
	"cmp"
	"net/http"
	"sync"
	"time"
)

// kept are answers that were errors, by the request's Request-Key. They are lost at a restart.
type kept struct {
	now    func() time.Time
	memory time.Duration

	mu      sync.Mutex
	answers map[string]keptAnswer
}

type keptAnswer struct {
	status int
	body   []byte
	at     time.Time
}

func newKept(now func() time.Time, memory time.Duration) *kept {
	return &kept{now: now, memory: memory, answers: map[string]keptAnswer{}}
}

func (k *kept) find(key string) (keptAnswer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	a, there := k.answers[key]
	return a, there && k.now().Sub(a.at) < k.memory
}

func (k *kept) keep(key string, status int, body []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.answers[key] = keptAnswer{status, body, k.now()}
}

// heard notes what is answered.
type heard struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heard) WriteHeader(status int) {
	h.status = status
	h.ResponseWriter.WriteHeader(status)
}

func (h *heard) Write(b []byte) (int, error) {
	h.body.Write(b)
	return h.ResponseWriter.Write(b)
}

// keeping gives the first error under an Request-Key again and again, if the sandbox is to keep errors.
func (s *Server) keeping(next http.HandlerFunc) http.HandlerFunc {
	if !s.options.KeepErrors {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		key := r.Pattern + " " + cmp.Or(r.Header.Get("Request-Key"), r.PathValue("key"))
		if a, there := s.kept.find(key); there {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Idempotent-Replayed", "true")
			w.WriteHeader(a.status)
			_, _ = w.Write(a.body) // fails only if the client is gone
			return
		}
		h := &heard{ResponseWriter: w}
		next(h, r)
		if h.status == http.StatusInternalServerError || h.status == http.StatusUnprocessableEntity {
			s.kept.keep(key, h.status, h.body.Bytes())
		}
	}
}
