package web_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// running reads the gauge of requests being answered.
func (r *testServer) running() int {
	r.t.Helper()
	for line := range strings.Lines(r.do(http.MethodGet, "/metrics", "").body) {
		if value, found := strings.CutPrefix(line, "holdfast_http_requests_running "); found {
			return int(value[0]-'0') - 1 // this one runs too
		}
	}
	r.t.Fatal("no gauge of running requests")
	return 0
}

func TestProbes(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	r := start(t, func(o *web.Options) {
		o.Checks = map[string]func(context.Context) error{
			"good": func(context.Context) error { return nil },
			"moody": func(context.Context) error {
				if broken.Load() {
					return errors.New("refuses to answer")
				}
				return nil
			},
		}
	})
	if a := r.do(http.MethodGet, "/livez", ""); a.status != http.StatusOK {
		t.Errorf("/livez answered %d %s", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/readyz", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"moody":"ok"`) {
		t.Errorf("/readyz answered %d %s", a.status, a.body)
	}
	broken.Store(true)
	testkit.Eventually(t, 20*time.Second, func() bool {
		a := r.do(http.MethodGet, "/readyz", "")
		return a.status == http.StatusServiceUnavailable && strings.Contains(a.body, `"moody":"refuses to answer"`) && strings.Contains(a.body, `"good":"ok"`)
	})
	if a := r.do(http.MethodGet, "/livez", ""); a.status != http.StatusOK {
		t.Errorf("/livez answered %d %s", a.status, a.body)
	}
	if a := r.do(http.MethodGet, "/version", ""); a.status != http.StatusOK || !strings.Contains(a.body, `"version":"v0"`) {
		t.Errorf("/version answered %d %s", a.status, a.body)
	}
}

func TestMetricsHaveRoutes(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	r.do(http.MethodGet, "/api/v1/things/0198a7c2-b1d3-7c5e-8a1b-2c3d4e5f6071", "", "Authorization", r.token("ann", false))
	r.do("BREW", "/api/v1/0198a7c2", "")
	r.do(http.MethodDelete, "/api/v1/who", "")
	r.do(http.MethodPatch, "/livez", "")
	got := r.do(http.MethodGet, "/metrics", "").body
	for _, want := range []string{
		`holdfast_http_request_seconds_count{method="GET",route="/api/v1/things/:id",status="200"} 1`,
		`holdfast_http_request_seconds_count{method="OTHER",route="none",status="404"} 1`,
		`holdfast_http_request_seconds_count{method="DELETE",route="none",status="405"} 1`,
		`holdfast_http_request_seconds_count{method="PATCH",route="none",status="405"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "0198a7c2") || strings.Contains(got, "BREW") {
		t.Errorf("a client makes time series:\n%s", got)
	}
}

func TestAdminHasItsOwnAddress(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.AdminAddr = "127.0.0.1:0" })
	operator := r.token("op", true)
	ask := func(addr, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", operator)
		return r.send(req).status
	}
	for path, want := range map[string]struct{ public, admin int }{
		"/api/v1/admin/who": {404, 200}, "/metrics": {404, 200}, "/api/v1/who": {200, 404}, "/livez": {200, 200}, "/readyz": {200, 200},
	} {
		if got := ask(r.Addr(), path); got != want.public {
			t.Errorf("%s answered %d at the public address, want %d", path, got, want.public)
		}
		if got := ask(r.AdminAddr(), path); got != want.admin {
			t.Errorf("%s answered %d at the operators' address, want %d", path, got, want.admin)
		}
	}
}

// Told to stop, the server has those who wait answer at once, lets requests end, and refuses new ones.
func TestDrain(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	got := make(chan answer, 1)
	go func() { got <- r.do(http.MethodGet, "/api/v1/wait", "", "Prefer", "wait=30") }()
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 1 })
	begun := time.Now()
	r.stop()
	if a := <-got; a.status != http.StatusOK {
		t.Errorf("the running request was answered %d %s", a.status, a.body)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it waited %s longer", took)
	}
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended = nil
	if resp, err := r.client.Get(r.url("/livez")); err == nil {
		resp.Body.Close()
		t.Error("a stopped server answered")
	}
}

// A request that does not end is cut off after the time to drain, and Run waits for its handler.
func TestDrainHasAnEnd(t *testing.T) {
	t.Parallel()
	r := start(t, func(o *web.Options) { o.DrainTimeout = 100 * time.Millisecond })
	go func() {
		if resp, err := r.client.Get(r.url("/api/v1/stuck")); err == nil {
			resp.Body.Close()
		}
	}()
	testkit.Eventually(t, 20*time.Second, func() bool { return r.running() == 1 })
	begun := time.Now()
	r.stop()
	if err := <-r.ended; err != nil {
		t.Errorf("Run: %v", err)
	}
	r.ended = nil
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	auth, err := web.NewAuth(secret, "")
	if err != nil {
		t.Fatal(err)
	}
	other, err := web.New(web.Options{Addr: r.Addr(), Auth: auth, Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil {
		t.Error("two servers on one port")
	}
}

func TestTraceGoesOn(t *testing.T) {
	t.Parallel()
	r := start(t, nil)
	const id = "4bf92f3577b34da6a3ce929d0e0e4736"
	for header, keeps := range map[string]bool{
		"00-" + id + "-00f067aa0ba902b7-01":                       true,
		"00-" + id + "-0000000000000000-01":                       false,
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": false,
		"ff-" + id + "-00f067aa0ba902b7-01":                       false,
		"00-" + id + "-00f067aa0ba902b7-01-more":                  false,
		"":                                                        false,
	} {
		a := r.do(http.MethodGet, "/api/v1/wait", "", "Traceparent", header)
		if strings.Contains(a.body, id) != keeps || strings.Contains(a.body, "00f067aa0ba902b7") || !strings.Contains(a.body, `"trace":"00-`) {
			t.Errorf("%q goes on as %s", header, a.body)
		}
	}
}
