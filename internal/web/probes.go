package web

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"
)

// How long a readiness check may take, and how long its verdict is good: whoever asks often does not load what is checked.
const (
	checkTimeout = 2 * time.Second
	checkKept    = 500 * time.Millisecond
)

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"` // name to "ok", the reason, or what is worth a look
}

// Noted is what a check returns that is to be seen at /readyz and keeps no request from being served.
type Noted struct{ error }

// Unwrap gives what is noted.
func (n Noted) Unwrap() error { return n.error }

// Note makes a note of an error, or nothing of none.
func Note(err error) error {
	if err == nil {
		return nil
	}
	return Noted{err}
}

// Liveness is the answer of /livez.
type Liveness struct {
	Status string `json:"status" example:"ok"`
}

type probes struct {
	checks   map[string]func(context.Context) error
	draining <-chan struct{}

	mu   sync.Mutex
	last Readiness
	at   time.Time
}

// live says that the process answers.
//
//	@Summary		Is the process alive
//	@Tags			probes
//	@Produce		json
//	@Success		200	{object}	Liveness
//	@Router			/livez [get]
func (p *probes) live(c echo.Context) error { return JSON(c, http.StatusOK, Liveness{Status: "ok"}) }

// ready says whether everything that requests need is there.
//
//	@Summary		Can it take requests
//	@Description	503 while something it needs is missing, and once it was told to stop.
//	@Tags			probes
//	@Produce		json
//	@Success		200	{object}	Readiness
//	@Failure		503	{object}	Readiness
//	@Router			/readyz [get]
func (p *probes) ready(c echo.Context) error {
	verdict := p.verdict(c.Request().Context())
	select {
	case <-p.draining:
		verdict = Readiness{Checks: map[string]string{"server": "stopping"}}
	default:
	}
	status := http.StatusOK
	if !verdict.Ready {
		status = http.StatusServiceUnavailable
	}
	return JSON(c, status, verdict)
}

func (p *probes) verdict(ctx context.Context) Readiness {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < checkKept {
		return p.last
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout) // kept for others too
	defer cancel()
	p.last, p.at = p.check(ctx), time.Now()
	return p.last
}

func (p *probes) check(ctx context.Context) Readiness {
	r := Readiness{Ready: true, Checks: make(map[string]string, len(p.checks))}
	var mu sync.Mutex
	var all sync.WaitGroup
	for name, check := range p.checks {
		all.Go(func() {
			err := check(ctx)
			mu.Lock()
			defer mu.Unlock()
			r.Checks[name] = "ok"
			if err != nil {
				var noted Noted
				r.Ready, r.Checks[name] = r.Ready && errors.As(err, &noted), err.Error()
			}
		})
	}
	all.Wait()
	return r
}
