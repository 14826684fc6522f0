package sandbox_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// ear hears webhooks, and takes only what is signed.
type ear struct {
	*httptest.Server
	refuse atomic.Int64 // so many are answered 503 first

	mu     sync.Mutex
	heard  []string          // ids taken, in the order in which they came
	bodies map[string]string // by id
}

func listen(t *testing.T) *ear {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	e := &ear{bodies: map[string]string{}}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // a broken one is not signed
		id := r.Header.Get("webhook-id")
		e.mu.Lock()
		defer e.mu.Unlock()
		if before, known := e.bodies[id]; verifier.Verify(body, r.Header) != nil || known && before != string(body) {
			t.Errorf("a forged one, or another under the same id: %s", body)
		}
		e.bodies[id] = string(body)
		if e.refuse.Add(-1) >= 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		e.heard = append(e.heard, id)
	}))
	t.Cleanup(e.Close)
	return e
}

// count gives how often each id was taken.
func (e *ear) count() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	times := map[string]int{}
	for _, id := range e.heard {
		times[id]++
	}
	return times
}

func (e *ear) hooks(change func(*sandbox.Webhooks)) func(*sandbox.Options) {
	return func(o *sandbox.Options) {
		o.Webhooks = sandbox.Webhooks{URL: e.URL, Secret: hookSecret, Delay: -1, Again: time.Millisecond}
		change(&o.Webhooks)
	}
}

// Every charge, declined ones too, and every refund is told of once it is taken, signed, with the ledger's own entry in it.
func TestWebhooks(t *testing.T) {
	t.Parallel()
	e := listen(t)
	e.refuse.Store(5)
	url := start(t, e.hooks(func(*sandbox.Webhooks) {}))
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/a", charge("o1", 900, "pm_ok")))
	must(t, http.MethodPut, url+"/charges/a", charge("o1", 900, "pm_ok")) // a repetition is not told of
	no := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/b", charge("o2", 900, "pm_declined")))
	must(t, http.MethodPost, url+"/charges/b/close", nil)
	back := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/refunds/a", refund(paid.ID, 900)))
	testkit.Eventually(t, 20*time.Second, func() bool { return len(e.count()) == 3 })
	for kind, entry := range map[string]sandbox.Entry{"charge.succeeded": paid, "charge.declined": no, "refund.succeeded": back} {
		var told struct {
			Type string
			Data sandbox.Entry
		}
		if err := json.Unmarshal([]byte(e.bodies["evt_"+entry.ID]), &told); err != nil || told.Type != kind || told.Data != entry {
			t.Errorf("%s was told as %+v, %v", kind, told, err)
		}
	}
}

// Shares of the webhooks are late, repeated, or overtaken by others.
func TestWebhooksOutOfOrder(t *testing.T) {
	t.Parallel()
	e := listen(t)
	url := start(t, e.hooks(func(w *sandbox.Webhooks) {
		w.Repeat, w.Reorder, w.Late, w.LateBy = 0.5, 0.5, 0.1, 100*time.Millisecond
	}))
	const n = 60
	var said []string
	for i := range n {
		said = append(said, "evt_"+as[sandbox.Entry](t, must(t, http.MethodPut, fmt.Sprint(url, "/charges/k", i), charge("o", 9, "pm_ok"))).ID)
	}
	repeated := func() (all, again int) {
		for _, times := range e.count() {
			if all++; times > 1 {
				again++
			}
		}
		return all, again
	}
	testkit.Eventually(t, 20*time.Second, func() bool { all, again := repeated(); return all == n && again > n/4 })
	e.mu.Lock()
	defer e.mu.Unlock()
	overtaken, place := 0, map[string]int{}
	for i, id := range e.heard {
		if _, known := place[id]; !known {
			place[id] = i
		}
	}
	for i := range n - 1 {
		if place[said[i]] > place[said[i+1]] {
			overtaken++
		}
	}
	if overtaken < n/10 {
		t.Errorf("only %d were overtaken", overtaken)
	}
}

// A sandbox that is killed tells of what it had not told of when it runs again, and not of the rest.
func TestWebhooksSurviveKill(t *testing.T) {
	t.Parallel()
	e := listen(t)
	file, hooks := filepath.Join(t.TempDir(), "ledger.jsonl"), childHooks+"="+e.URL
	url, kill := child(t, file, hooks)
	early := "evt_" + as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/early", charge("o", 9, "pm_ok"))).ID
	testkit.Eventually(t, 20*time.Second, func() bool { return e.count()[early] == 1 })
	e.refuse.Store(1 << 40)
	must(t, http.MethodPost, url+"/charges/early/close", nil)
	const n = 20
	for i := range n {
		must(t, http.MethodPut, fmt.Sprint(url, "/charges/k", i), charge("o", 9, "pm_ok"))
	}
	kill()
	e.refuse.Store(0)
	_, kill = child(t, file, hooks)
	testkit.Eventually(t, 20*time.Second, func() bool { return len(e.count()) == n+1 })
	kill()
	url, kill = child(t, file, hooks)
	defer kill()
	last := "evt_" + as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/last", charge("o", 9, "pm_ok"))).ID
	testkit.Eventually(t, 20*time.Second, func() bool { return e.count()[last] == 1 })
	if times := e.count(); times[early] != 1 {
		t.Errorf("what was taken before the kill was told of %d times", times[early])
	}
}

// A key is forgotten after a time: the same request under it charges again. What happened under it can still be looked up.
func TestForgottenKeys(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	url := start(t, func(o *sandbox.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	first := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o", 9, "pm_ok")))
	must(t, http.MethodPost, url+"/charges/closed/close", nil)
	ahead.Store(int64(24*time.Hour - time.Minute))
	if again := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o", 9, "pm_ok"))); again.ID != first.ID {
		t.Error("forgotten too early")
	}
	ahead.Store(int64(24*time.Hour + time.Second))
	found := as[sandbox.Record](t, must(t, http.MethodGet, url+"/charges/k", nil))
	if found.Charge == nil || found.Charge.ID != first.ID {
		t.Errorf("looked up %+v", found)
	}
	want(t, must(t, http.MethodGet, url+"/charges/closed", nil), 404, "not_found")
	if again := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("o", 9, "pm_ok"))); again.ID == first.ID {
		t.Error("not forgotten after a day")
	}
	if r := must(t, http.MethodPut, url+"/charges/closed", charge("o", 9, "pm_ok")); r.status != http.StatusOK {
		t.Errorf("the closed key: %d %s", r.status, r.body)
	}
}

// People see the ledger as a page, with the key as a password.
func TestLedgerPage(t *testing.T) {
	t.Parallel()
	url := start(t)
	paid := as[sandbox.Entry](t, must(t, http.MethodPut, url+"/charges/k", charge("<b>o1</b>", 900, "pm_ok")))
	get := func(password string) reply {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/ledger", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("me", password)
		r.Header.Set("Accept", "text/html,application/xhtml+xml")
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, _ := io.ReadAll(response.Body) // half a page is a wrong one
		return reply{response.StatusCode, response.Header, body}
	}
	page := get(apiKey)
	if page.status != 200 || !strings.Contains(string(page.body), paid.ID) || strings.Contains(string(page.body), "<b>o1") {
		t.Errorf("%d %s", page.status, page.body)
	}
	if page = get("guess"); page.status != 401 || page.header.Get("WWW-Authenticate") == "" {
		t.Errorf("a wrong password: %d", page.status)
	}
}
