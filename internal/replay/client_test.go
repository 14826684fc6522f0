package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// scripted answers the n-th request by the n-th of its steps, later ones by the last, and keeps what it was asked.
type scripted struct {
	steps []http.HandlerFunc
	mu    sync.Mutex
	asked []string // method, path, key, authorization, body
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	n := min(len(s.asked), len(s.steps)-1)
	s.asked = append(s.asked, strings.Join([]string{r.Method, r.URL.Path, r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), string(body)}, " "))
	s.mu.Unlock()
	s.steps[n](w, r)
}

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// cut closes the connection without an answer, or in the middle of one.
func cut(after string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(conn, after)
		_ = conn.Close()
	}
}

func testClient(t *testing.T, handler http.Handler, change func(*Options)) (*retrying, *atomic.Int64) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	o := Defaults()
	o.BaseURL, o.Concurrency = server.URL, 4
	o.Tokens = func(sub string, admin bool) (string, error) { return fmt.Sprintf("%s-%t", sub, admin), nil }
	if change != nil {
		change(&o)
	}
	retried := new(atomic.Int64)
	c := newClient(o, func() { retried.Add(1) })
	t.Cleanup(c.Close)
	return c, retried
}

func TestSendStaysWithARequest(t *testing.T) {
	t.Parallel()
	inUse := status(409, `{"type":"/problems/idempotency-key-in-use"}`)
	cases := map[string]struct {
		steps   []http.HandlerFunc
		want    int
		retried int64
		unsure  bool
	}{
		"answered at once":       {[]http.HandlerFunc{status(201, "{}")}, 201, 0, false},
		"refused is an answer":   {[]http.HandlerFunc{status(409, `{"type":"/problems/out-of-stock"}`)}, 409, 0, false},
		"wrong is an answer":     {[]http.HandlerFunc{status(400, "{}")}, 400, 0, false},
		"connection cut":         {[]http.HandlerFunc{cut(""), status(201, "{}")}, 201, 1, true},
		"cut inside the answer":  {[]http.HandlerFunc{cut("HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{"), status(201, "{}")}, 201, 1, true},
		"garbage for an answer":  {[]http.HandlerFunc{cut("so sorry\r\n\r\n"), status(201, "{}")}, 201, 1, true},
		"bad gateway, away, 500": {[]http.HandlerFunc{status(502, ""), status(503, ""), status(500, ""), status(201, "{}")}, 201, 3, true},
		"too many":               {[]http.HandlerFunc{status(429, ""), status(201, "{}")}, 201, 1, false},
		"a conflict that passes": {[]http.HandlerFunc{status(409, "{}", "Retry-After", "1"), status(200, "{}")}, 200, 1, false},
		"in use by its twin":     {[]http.HandlerFunc{inUse, inUse, status(202, "{}")}, 202, 2, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &scripted{steps: c.steps}
			client, retried := testClient(t, s, nil)
			a, err := client.send(t.Context(), request{method: "POST", path: "/orders", sub: "ann", key: "k1", body: []byte(`{"a":1}`)})
			if err != nil {
				t.Fatal(err)
			}
			if a.Status != c.want || a.unsure != c.unsure || retried.Load() != c.retried {
				t.Errorf("answer %s, unsure %t after %d retries, want %d, %t, %d", a, a.unsure, retried.Load(), c.want, c.unsure, c.retried)
			}
			for _, asked := range s.asked {
				if diff := cmp.Diff(`POST /api/v1/orders k1 Bearer ann-false {"a":1}`, asked); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestSendWaitsAsLongAsTheServerAsks(t *testing.T) {
	t.Parallel()
	client, _ := testClient(t, &scripted{steps: []http.HandlerFunc{status(503, "", "Retry-After", "1"), status(200, "{}")}}, nil)
	began := time.Now()
	if _, err := client.send(t.Context(), request{method: "GET", path: "/cart"}); err != nil {
		t.Fatal(err)
	}
	if spent := time.Since(began); spent < time.Second {
		t.Errorf("asked again after %s, not after the second that was asked for", spent)
	}
}

func TestSendTriesAgainAfterATimeOut(t *testing.T) {
	t.Parallel()
	never := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	client, retried := testClient(t, &scripted{steps: []http.HandlerFunc{never, status(200, "{}")}}, func(o *Options) { o.RequestTimeout = 100 * time.Millisecond })
	a, err := client.send(t.Context(), request{method: "GET", path: "/cart"})
	if err != nil || !a.unsure || retried.Load() == 0 { // on a busy machine the second one may be late, too
		t.Errorf("%s, %v, unsure %t after %d retries", a, err, a.unsure, retried.Load())
	}
}

func TestSendLosesPatience(t *testing.T) {
	t.Parallel()
	client, _ := testClient(t, &scripted{steps: []http.HandlerFunc{status(500, "broken")}}, func(o *Options) { o.Patience = time.Second })
	_, err := client.send(t.Context(), request{method: "GET", path: "/cart"})
	if err == nil || !strings.Contains(err.Error(), "GET /cart: not answered within 1s: last 500 broken") {
		t.Errorf("got %v", err)
	}
}

func TestSendEndsWithItsContext(t *testing.T) {
	t.Parallel()
	client, _ := testClient(t, &scripted{steps: []http.HandlerFunc{status(503, "", "Retry-After", "30")}}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.send(ctx, request{method: "GET", path: "/cart"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

func TestSendRenewsATokenOnce(t *testing.T) {
	t.Parallel()
	issued := 0
	tokens := func(o *Options) {
		o.Tokens = func(string, bool) (string, error) { issued++; return fmt.Sprint("t", issued), nil }
	}
	old := &scripted{steps: []http.HandlerFunc{status(401, ""), status(200, "{}")}}
	client, _ := testClient(t, old, tokens)
	if a, err := client.send(t.Context(), request{method: "GET", path: "/cart"}); err != nil || a.Status != 200 {
		t.Errorf("%s, %v", a, err)
	}
	if diff := cmp.Diff([]string{"GET /api/v1/cart  Bearer t1 ", "GET /api/v1/cart  Bearer t2 "}, old.asked); diff != "" {
		t.Error(diff)
	}
	refusing := &scripted{steps: []http.HandlerFunc{status(401, "")}}
	client, _ = testClient(t, refusing, tokens)
	if a, err := client.send(t.Context(), request{method: "GET", path: "/cart"}); err != nil || a.Status != 401 || len(refusing.asked) != 2 {
		t.Errorf("%s, %v after %d requests", a, err, len(refusing.asked))
	}
}
