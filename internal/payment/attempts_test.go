package payment_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// Every call to the provider is noted, in order, with what it answered: also the one whose answer was lost.
func TestCallsAreNoted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(w.provider)
	p := buy("pm_timeout_after_charge")
	w.hear(service.Charge, p.fact(event.StockReserved))
	w.reach(p.id, payment.Success)
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	w.reach(p.id, payment.Refunded)
	rows, err := w.env.DB.Query(t.Context(), `
		SELECT call || ' ' || verdict FROM payment.attempts WHERE order_id = $1 AND at < now() AND ms >= 0 ORDER BY at`, p.id)
	if err != nil {
		t.Fatal(err)
	}
	calls, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"charge ", "lookup charged", "refund given back"}, calls); diff != "" {
		t.Error(diff)
	}
}
