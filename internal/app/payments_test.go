package app

import (
	"testing"

	dto "github.com/prometheus/client_model/go"

	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// Money that is under way and whose outcome is not learnt is counted.
func TestPaymentsAreCounted(t *testing.T) {
	t.Parallel()
	s := newStageWithoutCharger(t, saga.Optimistic, true)
	if _, err := s.db.Exec(t.Context(), `
		INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key, cause, attempted_at, provider, account,
			due_at, created_at, last_error)
		SELECT id, 'UNKNOWN', 'optimistic', 1, 'GBP', 'pm_ok', 'charge-' || id, 'refund-' || id, id, now() - interval '2 days', 'sandbox', 'elsewhere', now() + interval '1 hour',
			now() - interval '2 hours', 'answered 500' FROM (SELECT gen_random_uuid() AS id FROM generate_series(1, 3)) n`); err != nil {
		t.Fatal(err)
	}
	if err := s.measurePayments(t.Context()); err != nil {
		t.Fatal(err)
	}
	for state, want := range map[string]float64{"unknown": 3, "failing": 3, "forgotten": 3, "waiting": 3, "pending": 0, "refunding": 0} {
		var m dto.Metric
		if err := s.payments.underWay.WithLabelValues(state).Write(&m); err != nil || m.GetGauge().GetValue() != want {
			t.Errorf("%s: %v, want %v: %v", state, m.GetGauge().GetValue(), want, err)
		}
	}
	var waiting dto.Metric
	if err := s.payments.waiting.WithLabelValues("sandbox", "elsewhere").Write(&waiting); err != nil || waiting.GetGauge().GetValue() != 3 {
		t.Errorf("waiting for an account: %v: %v", waiting.GetGauge().GetValue(), err)
	}
	var m dto.Metric
	if err := s.payments.oldest.Write(&m); err != nil || m.GetGauge().GetValue() < 7200 {
		t.Errorf("the oldest is %v s old: %v", m.GetGauge().GetValue(), err)
	}
}
