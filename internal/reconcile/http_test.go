package reconcile_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/api"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/web"
	"github.com/holdfast-checkout/holdfast/internal/web/webtest"
)

// site is the reconciler behind the real HTTP server. Every answer is held against the API document.
type site struct {
	*place
	url    string
	client *http.Client
	tokens web.Tokens
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{place: newPlace(t), tokens: web.Tokens{Secret: []byte(strings.Repeat("secret", 8))}}
	auth, err := web.NewAuth(s.tokens.Secret, "")
	if err != nil {
		t.Fatal(err)
	}
	server, err := web.New(web.Options{Addr: "127.0.0.1:0", Auth: auth, Log: s.env.Log, Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	reconcile.NewHTTP(s.reconciler).Routes(server.Routes())
	if err := server.Listen(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s.url = "http://" + server.Addr() + "/api/v1/admin/reconciliations"
	s.client = &http.Client{Transport: webtest.Load(t, api.Document).Transport(t, transport)}
	return s
}

// call sends a request, as an operator or as a mere customer, and decodes what comes back.
func (s *site) call(operator bool, method, query, body string, into any) int {
	s.Helper()
	token, err := s.tokens.Issue("someone", operator, time.Hour)
	if err != nil {
		s.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+query, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			s.Fatalf("%s: %v", answer, err)
		}
	}
	return resp.StatusCode
}

func TestOperatorReconciles(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	product := s.product(10)
	s.agree()
	s.redis("HSET", s.keys.Product(product)[0], "n", "1")
	var run reconcile.Run
	if status := s.call(true, http.MethodPost, "", `{"scope":"full","dry_run":true}`, &run); status != http.StatusOK {
		t.Fatal(status)
	}
	s.want(run, "stock would_repair")
	if status := s.call(true, http.MethodPost, "", `{"scope":"full"}`, &run); status != http.StatusOK {
		t.Fatal(status)
	}
	s.want(run, "stock repaired")
	var page reconcile.RunList
	var seen []string
	for cursor := "?limit=2"; cursor != ""; {
		page = reconcile.RunList{}
		if status := s.call(true, http.MethodGet, cursor, "", &page); status != http.StatusOK {
			t.Fatal(status)
		}
		for _, r := range page.Items {
			seen = append(seen, r.ID.String())
		}
		cursor = ""
		if page.NextCursor != "" {
			cursor = "?limit=2&cursor=" + page.NextCursor
		}
	}
	if len(seen) != 3 || seen[0] != run.ID.String() {
		t.Errorf("listed %v, want three runs, %s first", seen, run.ID)
	}
}

func TestWhatIsNoReconciliationIsRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for body, want := range map[string]int{
		`{"scope":"some"}`:                 http.StatusUnprocessableEntity,
		`{"scope":"full","dry_run":"yes"}`: http.StatusBadRequest,
		`{"scope":"full","fast":true}`:     http.StatusBadRequest,
		`{"scope":"full"} {}`:              http.StatusBadRequest,
	} {
		if status := s.call(true, http.MethodPost, "", body, nil); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	if status := s.call(false, http.MethodPost, "", `{"scope":"full"}`, nil); status != http.StatusForbidden {
		t.Errorf("a customer: %d", status)
	}
	if status := s.call(true, http.MethodGet, "?cursor=nowhere", "", nil); status != http.StatusBadRequest {
		t.Errorf("a cursor of nothing: %d", status)
	}
}
