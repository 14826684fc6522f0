package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// till is an account of a payment provider that notes what it is asked.
type till struct {
	url  string
	gone atomic.Bool // it answers nothing but errors, and does nothing

	mu    sync.Mutex
	asked []string // method and path
}

// openTill runs a sandbox with a ledger of its own.
func openTill(t *testing.T, env *testkit.Env) *till {
	t.Helper()
	provider, err := sandbox.Open(sandbox.Options{
		Addr: "127.0.0.1:0", LedgerFile: filepath.Join(t.TempDir(), "ledger.jsonl"), APIKey: sandboxKey, Log: env.Log,
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, "till", provider.Run)
	target, err := url.Parse(provider.URL())
	if err != nil {
		t.Fatal(err)
	}
	counter, pass := &till{}, httputil.NewSingleHostReverseProxy(target)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		counter.mu.Lock()
		counter.asked = append(counter.asked, r.Method+" "+r.URL.Path)
		counter.mu.Unlock()
		if counter.gone.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		pass.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	counter.url = server.URL
	return counter
}

// about counts what was asked about an order.
func (a *till) about(order string) (n int) { return a.times(order) }

// refunds counts how often an order was given back.
func (a *till) refunds(order string) int { return a.times("PUT /refunds/refund-" + order) }

func (a *till) times(what string) (n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, asked := range a.asked {
		if strings.Contains(asked, what) {
			n++
		}
	}
	return n
}

// chargesAt has the shop charge at one account, and end at others what was begun there.
func (s *shop) chargesAt(a *till, former ...*till) {
	s.t.Helper()
	s.stop()
	s.cfg.SandboxURL, s.cfg.Former = a.url, nil
	for _, f := range former {
		s.cfg.Former = append(s.cfg.Former, config.Provider{Name: "sandbox", URL: f.url, Key: sandboxKey})
	}
	s.start()
}

// paid buys one and wants it paid.
func (s *shop) paid(product, key string) string {
	s.t.Helper()
	o := s.customer("customer").buy(key, buyNow(product, 1, "pm_ok"))
	if o = s.customer("customer").end(o.ID); o.Status != "COMPLETED" {
		s.t.Fatalf("order %s is %s", o.ID, o.Status)
	}
	return o.ID
}

func (s *shop) cancel(id string) {
	s.t.Helper()
	s.customer("customer").must(http.StatusAccepted, http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "k-"+id)
}

func (s *shop) cancelled(id string) {
	s.t.Helper()
	if o := s.customer("customer").end(id); o.Status != "CANCELLED" {
		s.t.Errorf("order %s is %s", id, o.Status)
	}
}

// ageTransfers lets all that was transferred so far have been long ago, so that the comparison looks for it.
func (s *shop) ageTransfers() {
	s.t.Helper()
	for _, sql := range []string{
		`ALTER TABLE payment.transfers DISABLE TRIGGER transfers_stay`, `UPDATE payment.transfers SET at = at - interval '1 hour'`,
		`ALTER TABLE payment.transfers ENABLE TRIGGER transfers_stay`,
	} {
		if _, err := s.env.DB.Exec(s.t.Context(), sql); err != nil {
			s.t.Fatal(err)
		}
	}
}

// compared waits until the books of so many accounts have been read to their end once more, and wants nothing found.
func (s *shop) compared(accounts int) {
	s.t.Helper()
	var since time.Time
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT now()`).Scan(&since); err != nil {
		s.t.Fatal(err)
	}
	testkit.Eventually(s.t, time.Minute, func() error {
		var read int
		err := s.env.DB.QueryRow(s.t.Context(), `SELECT count(*) FROM payment.hunts WHERE ran_at > $1`, since).Scan(&read)
		if err == nil && read != accounts {
			err = fmt.Errorf("the books of %d accounts were read, not of %d", read, accounts)
		}
		return err
	})
	var found int
	if err := s.env.DB.QueryRow(s.t.Context(), `SELECT count(*) FROM payment.orphans`).Scan(&found); err != nil || found > 0 {
		s.t.Errorf("%d orphans were found, %v", found, err)
	}
}

// waiting gives the payments that wait for their account, as operators see them, once there are so many.
func (s *shop) waiting(n int) (list []struct {
	OrderID  string `json:"order_id"`
	Provider string `json:"provider"`
	Account  string `json:"account"`
	Waiting  bool   `json:"waiting"`
	Tries    int    `json:"tries"`
}) {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		a, err := s.operator().send(http.MethodGet, "/admin/payments?state=waiting", nil)
		if err != nil {
			return err
		}
		var page struct{ Items json.RawMessage }
		a.into(s.t, &page)
		if err := json.Unmarshal(page.Items, &list); err == nil && len(list) != n {
			return fmt.Errorf("%d wait: %s", len(list), a.body)
		}
		return err
	})
	return list
}

// The provider is changed: what was charged at the account before is given back there and nowhere else, is seen to wait while nobody
// can ask there, and is no business of the new one's, in whose books it is not looked for.
func TestMoneyIsGivenBackWhereItWasCharged(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	before, after := openTill(t, env), openTill(t, env)
	s := openOn(t, env, func(c *config.Config) { c.SandboxURL, c.OrphanInterval = before.url, 100*time.Millisecond })
	mug := s.product("MUG", 1275, 100)
	var old []string
	for i := range 5 {
		old = append(old, s.paid(mug, fmt.Sprint("old ", i)))
	}
	s.compared(1)

	s.stop()
	s.ageTransfers()
	s.chargesAt(after)
	recent := s.paid(mug, "recent")
	s.compared(1)
	s.cancel(old[0])
	s.cancel(old[1])
	s.paid(mug, "later") // the charger has been at it since
	for _, p := range s.waiting(2) {
		if p.Provider != "sandbox" || p.Account == "" || !p.Waiting || p.Tries != 0 {
			t.Errorf("%+v", p)
		}
	}
	s.seenToWait(2)
	s.operator().must(http.StatusConflict, http.MethodPost, "/admin/payments/"+old[0]+"/retry", nil)
	s.operator().must(http.StatusConflict, http.MethodPost, "/admin/payments/"+old[1]+"/settle", map[string]any{"reason": "by bank transfer"})
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/payments/"+old[1]+"/settle", map[string]any{"reason": "by bank transfer", "unasked": true})
	s.cancelled(old[1])
	s.waiting(1)
	s.skipped("5 payments were made at sandbox account")

	s.chargesAt(after, before)
	s.cancelled(old[0])
	s.cancel(old[2])
	s.cancelled(old[2])
	s.compared(2)
	s.waiting(0)

	s.chargesAt(before, after)
	s.cancel(old[3])
	s.cancel(recent)
	s.cancelled(old[3])
	s.cancelled(recent)
	s.compared(2)
	for i, id := range old {
		if n := after.about(id); n != 0 {
			t.Errorf("the account that charged nothing of it was asked %d times about old order %d", n, i)
		}
		if n, want := before.refunds(id), map[bool]int{true: 1}[i == 0 || i == 2 || i == 3]; n != want {
			t.Errorf("old order %d was given back %d times where it was charged, want %d", i, n, want)
		}
	}
	s.clean()
	if n := before.about(recent); n != 0 {
		t.Errorf("the old account was asked %d times about an order of the new one's", n)
	}
}

// skipped wants the auditor to call nothing broken, and to say why it cannot judge money whose books it does not see.
func (s *shop) skipped(why string) {
	s.t.Helper()
	report, err := app.Audit(s.t.Context(), s.cfg.Servers, s.cfg.Providers(), app.Rest{})
	if err != nil {
		s.t.Fatal(err)
	}
	for _, v := range report.Verdicts {
		if v.Verdict == audit.Broken || v.ID[0] == 'M' && (v.Verdict != audit.Skipped || !strings.Contains(v.Reason, why)) {
			s.t.Errorf("%s is %s: %s %s", v.ID, v.Verdict, v.Reason, v.Rows)
		}
	}
}

// seenToWait wants operators to be told, wherever they look.
func (s *shop) seenToWait(n int) {
	s.t.Helper()
	var status struct {
		Payments struct {
			Waiting  int
			Accounts []struct {
				Role      string
				Refunding int
			}
		}
	}
	s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(s.t, &status)
	if p := status.Payments; p.Waiting != n || len(p.Accounts) != 2 || p.Accounts[0].Role != "charging" || p.Accounts[1].Role != "not configured" || p.Accounts[1].Refunding != n {
		s.t.Errorf("status: %+v", p)
	}
	testkit.Eventually(s.t, time.Minute, func() error {
		response, err := s.http.Get(s.url + "/readyz")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		var ready struct {
			Ready  bool
			Checks map[string]string
		}
		err = json.NewDecoder(response.Body).Decode(&ready)
		if want := fmt.Sprintf("%d payments", n); err == nil && (!ready.Ready || !strings.Contains(ready.Checks["payments"], want)) {
			err = fmt.Errorf("readiness: %+v", ready)
		}
		return err
	})
}
