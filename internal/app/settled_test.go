package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/app"
	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// An account is gone for good while charges are under way there: an operator says what became of each, and the orders end by it as each
// strategy has it. Once the account is closed, the auditor judges by our books alone.
func TestAccountIsGoneForGood(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	before, after := openTill(t, env), openTill(t, env)
	s := openOn(t, env, func(c *config.Config) { c.SandboxURL, c.OrphanInterval = before.url, 100*time.Millisecond })
	mug := s.product("MUG", 1275, 100)
	s.paid(mug, "before")
	s.compared(1)
	before.gone.Store(true)
	ends := map[string]string{"charged": "COMPLETED", "not_charged": "FAILED", "refunded": "CANCELLED"}
	outcomes := map[string]string{} // by order
	for _, way := range saga.All() {
		for outcome := range ends {
			asked := buyNow(mug, 1, "pm_ok")
			asked["strategy"] = way.Name
			outcomes[s.customer(outcome+" by "+way.Name).underway("k", asked).ID] = outcome
		}
	}
	testkit.Eventually(t, time.Minute, func() error {
		var unknown int
		err := env.DB.QueryRow(t.Context(), `SELECT count(*) FROM payment.payments WHERE state = 'UNKNOWN'`).Scan(&unknown)
		if err == nil && unknown < len(outcomes) {
			err = fmt.Errorf("%d charges are unknown", unknown)
		}
		return err
	})
	s.chargesAt(after)
	for id, outcome := range outcomes {
		if outcome == "refunded" {
			s.customerOf(id).must(http.StatusAccepted, http.MethodPost, "/orders/"+id+"/cancel", nil, "Idempotency-Key", "c")
		}
		s.settle(id, outcome)
	}
	for id, outcome := range outcomes {
		if o := s.customerOf(id).end(id); o.Status != ends[outcome] {
			t.Errorf("order %s, %s by %s, is %s", id, outcome, o.Strategy, o.Status)
		}
	}
	s.skipped("payments were made at sandbox account")
	var account string
	if err := env.DB.QueryRow(t.Context(), `SELECT account FROM payment.payments WHERE account <> '' LIMIT 1`).Scan(&account); err != nil {
		t.Fatal(err)
	}
	s.operator().must(http.StatusOK, http.MethodPost, "/admin/payment-accounts/close",
		map[string]any{"provider": "sandbox", "account": account, "reason": "the contract has ended"})
	s.closed(account)

	before.gone.Store(false)
	s.chargesAt(after, before) // it comes back after all
	s.compared(2)
	s.clean()
}

// settle says what is true of an order's charge, unless the order's end is yet to be heard of, or somebody is asking just then.
func (s *shop) settle(id, outcome string) {
	s.t.Helper()
	testkit.Eventually(s.t, time.Minute, func() error {
		a, err := s.operator().send(http.MethodPost, "/admin/payments/"+id+"/settle", map[string]any{"reason": "by their statement", "outcome": outcome, "unasked": true})
		if err == nil && a.status != http.StatusOK {
			err = fmt.Errorf("settle: %d %s", a.status, a.body)
		}
		return err
	})
}

// closed wants the auditor to find nothing, and to list what was paid at a closed account.
func (s *shop) closed(account string) {
	s.t.Helper()
	report, err := app.Audit(s.t.Context(), s.cfg.Servers, s.cfg.Providers(), app.Rest{Wait: time.Minute})
	if err != nil {
		s.t.Fatal(err)
	}
	if report.ExitCode() != 0 {
		s.t.Errorf("the audit exits with %d", report.ExitCode())
	}
	for _, v := range report.Verdicts {
		if v.Verdict != "ok" || v.ID == "M3" && (len(v.Listed) != 1 || !strings.Contains(string(v.Listed[0]), account)) {
			s.t.Errorf("%s is %s: %s %s %s", v.ID, v.Verdict, v.Reason, v.Rows, v.Listed)
		}
	}
}
