package inventory_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// extendFor extends for a checkout.
func (s *shop) extendFor(hold uuid.UUID, p uuid.UUID) inventory.ExtendAnswer {
	s.t.Helper()
	by := inventory.Holder{HoldID: hold, Checkout: "one"}
	got, err := s.shelf.ExtendFor(s.t.Context(), by, []uuid.UUID{p}, in(2*time.Hour))
	if err != nil {
		s.t.Fatal(err)
	}
	return got[0]
}

func (s *shop) restock(p uuid.UUID, quantity, over int64) {
	s.t.Helper()
	moved, err := s.books.Restock(s.t.Context(), p, quantity, "")
	if err != nil || moved.OverHeld == nil || *moved.OverHeld != over {
		s.t.Fatalf("restock %d: %+v, %v, want %d units held and not there", quantity, moved, err, over)
	}
}

// Units that are held can be taken away, and everybody who asks is told so: the operator, whoever looks at the product, and
// whoever checks out when what is left is promised.
func TestUnitsThatAreHeldAreNotTakenAwayWithoutAWord(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(5)[0]
		ann, bob := uuid.New(), uuid.New()
		end := in(time.Hour)
		s.hold(ann, end, line(p, 2))
		s.hold(bob, end, line(p, 3))
		s.restock(p, -3, 3)
		s.wantAvailability(p, "", inventory.Availability{OnHand: 2, Held: 5, OverHeld: 3, NextExpiry: &end})
		offer, err := s.books.Get(t.Context(), p)
		if err != nil || offer.Available != 0 || offer.OverHeld != 3 || offer.CutAt == nil {
			t.Errorf("the product is %+v, %v", offer, err)
		}
		covered, err := s.shelf.Covered(t.Context(), bob, []uuid.UUID{p})
		if err != nil || covered[p] != 2 {
			t.Errorf("%d units are covered, %v, want 2", covered[p], err)
		}
		if got := s.extendFor(bob, p); got.Outcome != inventory.Cut || got.Quantity != 2 {
			t.Errorf("a checkout of three of two units: %+v", got)
		}
		if got := s.extendFor(ann, p); got.Outcome != inventory.Extended {
			t.Errorf("a checkout of two of two units: %+v", got)
		}
		s.restock(p, 3, 0)
		if got := s.extendFor(bob, p); got.Outcome != inventory.Extended {
			t.Errorf("a checkout once there are enough again: %+v", got)
		}
	})
}

// Units that an order has taken, while the shelf has not heard of it, count once: they are in nobody's way.
func TestUnitsThatAreTakenCountOnce(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		for _, restocked := range []bool{true, false} {
			p := s.sell(5)[0]
			order := s.created(line(p, 2))
			ann, bob := s.orders.known[order.OrderID].HoldID, uuid.New()
			s.hold(ann, in(time.Hour), line(p, 2))
			s.hold(bob, in(time.Hour), line(p, 3))
			if got := s.extendFor(ann, p); got.Outcome != inventory.Extended {
				t.Fatalf("%+v", got)
			}
			s.reserve(order)
			if restocked {
				s.restock(p, 1, 0)
				s.restock(p, -1, 0)
			} else { // a fact that was said later has come sooner
				later := s.created(line(p, 0))
				s.settle(later.Answer(event.StockReserved, event.OrderStock{Lines: []event.StockLine{{ProductID: p, Available: 3, Version: 100}}}))
			}
			if got := s.extendFor(bob, p); got.Outcome != inventory.Extended {
				t.Errorf("restocked %v: three of three units that are left: %+v", restocked, got)
			}
		}
	})
}

// An order that got no stock holds none, though its money may take long to be given back.
func TestAnOrderWithoutStockHoldsNone(t *testing.T) {
	s := newShop(t)
	p := s.sell(1, 1)
	order := s.created(line(p[0], 1), line(p[1], 1))
	hold := s.orders.known[order.OrderID].HoldID
	s.hold(hold, in(time.Hour), line(p[0], 1), line(p[1], 1))
	s.restock(p[0], -1, 1)
	s.reserve(order)
	s.settle(s.said(order.OrderID)...)
	s.wantFree(p[0], 0)
	s.wantFree(p[1], 1)
}
