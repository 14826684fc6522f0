package inventory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// An operator's movement of stock goes through the product's lane and is answered as ever. Who waits no longer has moved nothing,
// however late the lane is.
func TestAnOperatorIsAnsweredByTheLane(t *testing.T) {
	s := newLaned(t)
	s.books.InLanes = true
	p := s.inLane(2, 10)
	type answer struct {
		moved inventory.Movement
		err   error
	}
	ask := func(ctx context.Context, quantity int64) (event.Fact, chan answer) {
		done := make(chan answer, 1)
		go func() {
			moved, err := s.books.Restock(ctx, p, quantity, "counted")
			done <- answer{moved, err}
		}()
		var asked event.Fact
		testkit.Eventually(t, 10*time.Second, func() error {
			for _, f := range s.said(uuid.Nil) {
				if f.Name == event.LaneRestockRequested && !s.heard[f.ID] {
					s.heard[f.ID], asked = true, f
					return nil
				}
			}
			return errors.New("the lane was not asked")
		})
		return asked, done
	}
	for _, c := range []struct{ quantity, balance int64 }{{5, 15}, {-15, 0}, {-1, 0}} {
		asked, done := ask(t.Context(), c.quantity)
		if asked.RoutingKey() != "shop.lane.restock.requested.2" {
			t.Fatalf("asked %s", asked.RoutingKey())
		}
		s.do(s.books.LaneRestock, asked, asked)
		s.do(s.books.LaneRestock, asked)
		got := <-done
		var refusal *fault.Error
		switch {
		case c.quantity == -1:
			if !errors.As(got.err, &refusal) || refusal.Kind != fault.Conflict || refusal.Available == nil || *refusal.Available != 0 {
				t.Errorf("%+v, %v", got.moved, got.err)
			}
		case got.err != nil || got.moved.Quantity != c.quantity || got.moved.Balance != c.balance || got.moved.Reason != "counted":
			t.Errorf("%+v, %v", got.moved, got.err)
		}
		s.wantBooks(p, c.balance, 0)
	}
	impatient, leave := context.WithCancel(t.Context())
	asked, done := ask(impatient, 7)
	leave()
	var refusal *fault.Error
	if got := <-done; !errors.As(got.err, &refusal) || refusal.Kind != fault.Unavailable {
		t.Fatalf("%+v, %v", got.moved, got.err)
	}
	s.do(s.books.LaneRestock, asked)
	s.wantBooks(p, 0, 0)
	s.wantConserved()
	if n := s.one(fmt.Sprintf(`SELECT count(*) FROM shared.outbox WHERE name = '%s'`, event.StockAdjusted)); n != 2 {
		t.Errorf("%d movements were told of, want 2", n)
	}
	if _, err := s.books.Restock(t.Context(), uuid.New(), 1, ""); !errors.As(err, &refusal) || refusal.Kind != fault.NotFound {
		t.Errorf("of no product: %v", err)
	}
}
