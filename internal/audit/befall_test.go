package audit_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// befall has the refund of an order fail after it was made, and the charge of another one be disputed for a while: the refund is made
// again, and the dispute is won.
func (s *shop) befall(t *testing.T) {
	t.Helper()
	text := func(sql string) (text string) {
		testkit.Eventually(t, time.Minute, func() error { return s.env.DB.QueryRow(t.Context(), sql).Scan(&text) })
		return text
	}
	first := text(refundOf(cancelled) + ` AND state = 'REFUNDED'`)
	post(t, s.cfg.SandboxURL+"/refunds/"+first+"/fail")
	post(t, s.cfg.SandboxURL+"/charges/"+text(chargeOf(refunded))+"/dispute")
	provider := payment.NewSandbox(payment.SandboxOptions{URL: s.cfg.SandboxURL, APIKey: apiKey})
	t.Cleanup(provider.Hangup)
	hunter := payment.NewHunter(s.env.DB, provider, func() {}, payment.HunterOptions{Cooldown: -1, Log: s.env.Log, Registry: prometheus.NewRegistry()})
	if err := hunter.Hunt(t.Context()); err != nil {
		t.Fatal(err)
	}
	post(t, s.cfg.SandboxURL+"/disputes/"+text(`SELECT dispute_id FROM payment.disputes`)+"/won")
	if err := hunter.Hunt(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again := text(refundOf(cancelled) + ` AND state = 'REFUNDED'`); again == first {
		t.Fatal("a refund that has failed counts as made")
	}
}
