package order_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Whatever keeps an overdue order from ending, its units stay held: each refresh asks for a while more, for every line once,
// however many pages they are, and for no order that has ended, is not overdue, or whose stock is decided.
func TestHoldsOfOverdueOrdersAreRefreshed(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var asked []order.Hold
	s := newService(t, env, shop{refreshed: &asked}, time.Hour)
	doubts := 0
	s.Doubt = func() { doubts++ }
	for i := range 4 {
		place(t, s, fmt.Sprint(i))
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := env.DB.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	refresh := func(want int) {
		t.Helper()
		asked = nil
		lines, err := s.Refresh(t.Context())
		if err != nil || lines != want || len(asked) != want {
			t.Fatalf("refreshed %d lines, asked for %d, %v, want %d", lines, len(asked), err, want)
		}
	}
	refresh(0) // none is overdue
	exec(`UPDATE orders.orders SET deadline = now() - interval '1 day'`)
	exec(`INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor)
		SELECT o.id, gen_random_uuid(), 'sku', 'Tea', 1, 1 FROM orders.orders o, generate_series(1, 600)`)
	refresh(4 * 601)
	seen := map[string]bool{}
	for _, h := range asked {
		seen[h.HoldID.String()+h.ProductID.String()] = true
		if left := time.Until(h.ExpiresAt); left < 30*time.Second || left > 2*time.Minute {
			t.Fatalf("held for %v from now on", left)
		}
	}
	if len(seen) != 4*601 || doubts != 0 {
		t.Errorf("%d different lines, %d doubts", len(seen), doubts)
	}
	exec(`UPDATE orders.orders SET inventory_status = 'RESERVED' WHERE id = (SELECT min(id::text)::uuid FROM orders.orders)`)
	exec(`UPDATE orders.orders SET status = 'ENDING', owes_stock = true WHERE id = (SELECT max(id::text)::uuid FROM orders.orders)`) // it ends, and has not ended
	refresh(3 * 601)
	exec(`UPDATE orders.orders SET status = 'FAILED', owes_stock = false, failure_reason = 'TIMED_OUT', payment_status = 'NOT_STARTED', ended_at = now()
		WHERE inventory_status = 'NOT_STARTED'`)
	refresh(0)
}

// A hold that is gone though its order waits for stock is a matter for the comparison.
func TestAHoldThatIsGoneIsDoubted(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{gone: 1}, time.Millisecond)
	doubts := 0
	s.Doubt = func() { doubts++ }
	place(t, s, "k")
	testkit.Eventually(t, 20*time.Second, func() error {
		_, err := s.Refresh(t.Context())
		if err == nil && doubts == 0 {
			err = fmt.Errorf("no doubt")
		}
		return err
	})
}
