package order_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// What is asked for under one id is what its order still holds of those products, and nothing of another's.
func TestHoldsOfOneID(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	s := newService(t, env, shop{}, time.Hour)
	id, other := place(t, s, "one"), place(t, s, "another")
	ids, err := s.HoldIDs(t.Context(), []uuid.UUID{id, other})
	if err != nil || len(ids) != 2 {
		t.Fatal(ids, err)
	}
	held := func(products ...uuid.UUID) []uuid.UUID {
		t.Helper()
		holds, err := s.Holds(t.Context(), ids[id], products)
		if err != nil {
			t.Fatal(err)
		}
		var of []uuid.UUID
		for _, h := range holds {
			if h.Customer != "alice" || h.ProductID != mug.ID || h.Quantity != 2 || h.HoldID != ids[id] || !h.ExpiresAt.After(time.Now()) {
				t.Errorf("%+v", h)
			}
			of = append(of, h.OrderID)
		}
		return of
	}
	if diff := cmp.Diff([]uuid.UUID{id}, held(mug.ID, uuid.Must(uuid.NewV7()))); diff != "" {
		t.Errorf("orders that hold (-want +got):\n%s", diff)
	}
	if got := held(uuid.Must(uuid.NewV7())); got != nil {
		t.Errorf("another product is held by %v", got)
	}
	if _, err := env.DB.Exec(t.Context(), `UPDATE orders.orders SET inventory_status = 'RESERVED' WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	if got := held(mug.ID); got != nil {
		t.Errorf("stock is decided, and %v hold it", got)
	}
}
