package app_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/audit"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// provide has something befall money at the provider.
func (s *shop) provide(path string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.cfg.SandboxURL+path, http.NoBody)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+sandboxKey)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	if response.Body.Close(); response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s", path, response.Status)
	}
}

// shownPayment is an order's payment as operators see it.
type shownPayment struct {
	State    string `json:"state"`
	ChargeID string `json:"charge_id"`
	RefundID string `json:"refund_id"`
	Failures []struct {
		RefundID string `json:"refund_id"`
		Effect   string `json:"effect"`
	} `json:"failures"`
	Disputes []struct {
		ID     string `json:"dispute_id"`
		Status string `json:"status"`
	} `json:"disputes"`
}

// payment waits until an order's payment is shown as it should be.
func (s *shop) payment(id string, good func(shownPayment) bool) (p shownPayment) {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		p = shownPayment{}
		if s.operator().must(http.StatusOK, http.MethodGet, "/admin/payments/"+id, nil).into(s.t, &p); !good(p) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	return p
}

// An order was cancelled and its money given back. Later its customer has his bank take the charge back, too, and then the provider says
// that the refund has failed. The money is owed again and cannot be given back while it is disputed; that is shown, counted, told in the
// timeline and named by the auditor, who calls it neither fine nor broken. The dispute is won, and the refund is made again. When that one fails as well,
// the order is archived by then, and is brought back for it.
func TestARefundThatFailsIsMadeAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.stopProvider()
	s.hooks = sandbox.Webhooks{URL: s.url + "/api/v1/webhooks/payments/sandbox", Secret: hookSecret, Delay: -1}
	s.startProvider(strings.TrimPrefix(s.cfg.SandboxURL, "http://"))
	mug := s.product("MUG", 1275, 100)
	c := s.customer("customer")
	id := c.insists(mug, false)
	if o := c.end(id); o.Status != "COMPLETED" {
		t.Fatalf("the order is %s", o.Status)
	}
	if a, err := c.send(http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "k"); err != nil || a.status/100 != 2 {
		t.Fatalf("cancel: %d %s %v", a.status, a.body, err)
	}
	first := s.payment(id, func(p shownPayment) bool { return p.State == "REFUNDED" })
	s.clean()

	s.provide("/charges/" + first.ChargeID + "/dispute")
	disputed := s.payment(id, func(p shownPayment) bool { return len(p.Disputes) == 1 })
	s.provide("/refunds/" + first.RefundID + "/fail")
	s.payment(id, func(p shownPayment) bool {
		return p.State == "REFUNDING" && len(p.Failures) == 1 && p.Failures[0].Effect == "owed again"
	})
	var st struct {
		Payments struct{ Reversed, Disputes int }
	}
	s.operator().must(http.StatusOK, http.MethodGet, "/admin/status", nil).into(t, &st)
	if st.Payments.Reversed != 1 || st.Payments.Disputes != 1 {
		t.Errorf("status: %+v", st)
	}
	s.metrics(`holdfast_payment_failed_refunds_total{effect="owed again"} 1`, `holdfast_payment_disputes_total{turn="opened"} 1`)
	testkit.Eventually(t, time.Minute, func() bool {
		now := s.metricsNow()
		return strings.Contains(now, `holdfast_payments_under_way{state="reversed"} 1`) && strings.Contains(now, "holdfast_payment_disputes_open 1")
	})
	s.named("M2", "on its way again", "needs_response")
	told := string(c.must(http.StatusOK, http.MethodGet, "/orders/"+id+"/timeline?limit=200", nil).body)
	for _, name := range []string{`"name":"reversed"`, `"name":"refund failed"`, `"name":"disputed"`} {
		if !strings.Contains(told, name) {
			t.Errorf("the timeline has no %s: %s", name, told)
		}
	}

	s.provide("/disputes/" + disputed.Disputes[0].ID + "/won")
	second := s.payment(id, func(p shownPayment) bool {
		return p.State == "REFUNDED" && p.RefundID != first.RefundID && p.Disputes[0].Status == "won"
	})
	if o := c.end(id); o.Status != "CANCELLED" {
		t.Errorf("the order is %s", o.Status)
	}
	s.clean()

	s.stop()
	s.age()
	s.start() // where the webhooks do not lead
	if result := s.archive(); result.Moved != 1 {
		t.Fatalf("%+v", result)
	}
	s.provide("/refunds/" + second.RefundID + "/fail")
	if status, body := s.webhook("sandbox", hookSecret, `{"type":"refund.failed","data":`+s.lastEntry()+`}`); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	s.payment(id, func(p shownPayment) bool {
		return p.State == "REFUNDED" && p.RefundID != second.RefundID && len(p.Failures) == 2
	})
	s.cleanWithArchive()
}

// lastEntry is the last line of the provider's ledger.
func (s *shop) lastEntry() string {
	s.t.Helper()
	ledger, err := os.ReadFile(s.ledger)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(ledger)), "\n")
	return lines[len(lines)-1]
}

// named wants an audit to hold, and to name what is worth a look under an invariant.
func (s *shop) named(invariant string, words ...string) {
	s.t.Helper()
	report, err := app.Audit(s.t.Context(), s.cfg.Servers, s.cfg.Providers(), app.Rest{Wait: time.Minute, Cooldown: s.cfg.ReconcileCooldown})
	if err != nil {
		s.t.Fatal(err)
	}
	if report.ExitCode() != audit.ExitOK {
		s.t.Errorf("broken: %v", report.Broken())
	}
	for _, v := range report.Verdicts {
		if v.ID == invariant {
			for _, word := range words {
				if !strings.Contains(fmt.Sprintf("%s", v.Listed), word) {
					s.t.Errorf("%s does not list %q: %s", invariant, word, v.Listed)
				}
			}
		}
	}
}
