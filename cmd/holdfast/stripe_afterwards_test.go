package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/config"
	"github.com/holdfast-checkout/holdfast/internal/stripe/standin"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// stripePayment is an order's payment as operators see it.
type stripePayment struct {
	State    string
	ChargeID string `json:"charge_id"`
	RefundID string `json:"refund_id"`
	Failures []struct{ Effect string }
	Disputes []struct {
		ID     string `json:"dispute_id"`
		Status string
		Funds  string
		Over   bool
	}
}

// payment waits until an order's payment is shown as it should be.
func (s *stripeShop) payment(order string, good func(stripePayment) bool) (p stripePayment) {
	s.Helper()
	testkit.Eventually(s, patient, func() error {
		p = stripePayment{}
		if s.send(http.MethodGet, "/admin/payments/"+order, nil, &p); !good(p) {
			return fmt.Errorf("%+v", p)
		}
		return nil
	})
	return p
}

// metric waits until the metrics have a line.
func (s *stripeShop) metric(line string) {
	s.Helper()
	testkit.Eventually(s, patient, func() error {
		response, err := http.Get(s.url + "/metrics")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err == nil && !strings.Contains(string(body), line+"\n") {
			err = fmt.Errorf("no %s", line)
		}
		return err
	})
}

// counted waits until the status counts what befell money.
func (s *stripeShop) counted(reversed, disputes int) {
	s.Helper()
	testkit.Eventually(s, patient, func() error {
		var st struct {
			Payments struct{ Reversed, Disputes int }
		}
		if s.send(http.MethodGet, "/admin/status", nil, &st); st.Payments.Reversed != reversed || st.Payments.Disputes != disputes {
			return fmt.Errorf("%+v", st.Payments)
		}
		return nil
	})
}

// Stripe tells days later that a refund has failed and that charges are disputed: by webhooks, and, where these are lost, in its list of
// events. Each is recorded, shown, counted and listed by the auditor; what is owed again is given back again, under another key.
func TestWhatBefallsMoneyAtStripe(t *testing.T) {
	t.Parallel()
	const secret = "whsec_of_the_stand_in"
	s := &stripeShop{T: t, env: testkit.New(t), stripe: standin.Start(t)}
	s.change = func(c *config.Config) { c.StripeWebhookSecret, c.OrphanInterval = secret, time.Hour }
	account := s.stripe.Open("acct_1", "sk_test_1")
	s.serve("sk_test_1")
	lose := account.Webhooks(t, s.url+"/api/v1/webhooks/payments/stripe", secret)
	s.stock("MUG")
	back, kept := s.buy("pm_ok", "COMPLETED"), s.buy("pm_ok", "COMPLETED")
	s.cancel(back)
	s.cancelled(back)
	first := s.payment(back, func(p stripePayment) bool { return p.State == "REFUNDED" })

	began := time.Now()
	dispute := account.Dispute(first.ChargeID)
	account.FailRefund(first.RefundID, "lost_or_stolen_card")
	owed := s.payment(back, func(p stripePayment) bool {
		return p.State == "REFUNDING" && len(p.Failures) == 1 && len(p.Disputes) == 1 && p.Disputes[0].Funds == "withdrawn"
	})
	row := time.Since(began)
	s.counted(1, 1)
	status := time.Since(began)
	s.metric(`holdfast_payments_under_way{state="reversed"} 1`)
	s.metric(`holdfast_payment_disputes_open 1`)
	t.Logf("after a refund has failed and its charge is disputed: rows after %d ms, status after %d ms, metrics after %d ms",
		row.Milliseconds(), status.Milliseconds(), time.Since(began).Milliseconds())
	if owed.Failures[0].Effect != "owed again" || owed.Disputes[0].ID != dispute || owed.Disputes[0].Status != "needs_response" {
		t.Errorf("%+v", owed)
	}
	s.listed("while it is disputed", "on its way again", "needs_response")

	account.EndDispute(dispute, "won")
	s.payment(back, func(p stripePayment) bool {
		return p.State == "REFUNDED" && p.RefundID != first.RefundID && p.Disputes[0].Funds == "reinstated" && p.Disputes[0].Over
	})
	s.counted(0, 0)
	if keys := account.RefundKeys(); keys[0] == keys[len(keys)-1] || len(account.Refunds()) != 2 {
		t.Errorf("refunds were asked for under %v, and %d were made", keys, len(account.Refunds()))
	}

	lose()
	s.change = func(c *config.Config) { c.StripeWebhookSecret = secret } // what the webhooks do not tell the hunt finds
	s.serve("sk_test_1")
	second := s.payment(back, func(p stripePayment) bool { return p.State == "REFUNDED" })
	account.FailRefund(second.RefundID, "expired_or_canceled_card")
	account.EndDispute(account.Dispute(s.payment(kept, func(p stripePayment) bool { return p.ChargeID != "" }).ChargeID), "lost")
	s.payment(back, func(p stripePayment) bool {
		return p.State == "REFUNDED" && p.RefundID != second.RefundID && len(p.Failures) == 2
	})
	s.payment(kept, func(p stripePayment) bool {
		return p.State == "SUCCESS" && len(p.Disputes) == 1 && p.Disputes[0].Status == "lost" && p.Disputes[0].Funds == "withdrawn"
	})
	s.counted(0, 0)
	s.listed("with a dispute that is lost", `"status":"lost"`)
	refunds := slices.DeleteFunc(account.Refunds(), func(r standin.Object) bool { return r["status"] != "succeeded" })
	if len(refunds) != 1 {
		t.Errorf("%d refunds have reached the customer", len(refunds))
	}
}

// stock makes the only product.
func (s *stripeShop) stock(sku string) {
	s.Helper()
	s.send(http.MethodPost, "/admin/products", map[string]any{"products": []any{map[string]any{
		"sku": sku, "name": "Mug", "description": "", "unit_price_minor": 1275, "currency": "GBP", "stock": 100,
	}}}, nil)
}

// listed wants the audit to hold, and to list words.
func (s *stripeShop) listed(when string, words ...string) {
	s.Helper()
	code, money := s.audit("3m")
	if code != exitDone {
		s.Errorf("%s, the audit exits with %d:\n%s", when, code, money)
	}
	for _, word := range words {
		if !strings.Contains(money, word) {
			s.Errorf("%s, the audit does not list %s:\n%s", when, word, money)
		}
	}
}
