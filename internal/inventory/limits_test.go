package inventory_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
)

// purchases is what module order knows of a customer's orders.
type purchases struct {
	over   []uuid.UUID
	bought map[uuid.UUID]time.Time
	asked  [][]uuid.UUID
}

func (p *purchases) Over(_ context.Context, _ string, holds, _ []uuid.UUID) ([]uuid.UUID, map[uuid.UUID]time.Time, error) {
	p.asked = append(p.asked, holds)
	return p.over, p.bought, nil
}

func (s *shop) holdFor(by inventory.Holder, until time.Time, lines ...event.OrderLine) []inventory.Answer {
	s.t.Helper()
	answers, err := s.shelf.HoldFor(s.t.Context(), by, lines, until)
	if err != nil {
		s.t.Fatal(err)
	}
	return answers
}

func ann() inventory.Holder { return inventory.Holder{HoldID: uuid.New(), Customer: "ann"} }

func over(name string, allowed int64) *fault.Limit { return &fault.Limit{Name: name, Allowed: allowed} }

func TestNoTwoRequestsPassALimitTogether(t *testing.T) {
	s := newShop(t)
	s.shelf.Limits = inventory.Limits{CustomerUnits: 5, HeldShare: 0.6}
	p := s.sell(20)
	until := in(time.Minute)
	var held atomic.Int64
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			by := ann()
			by.Buying = true
			answers, err := s.shelf.HoldFor(t.Context(), by, []event.OrderLine{line(p[0], 1)}, until)
			if err != nil {
				t.Error(err)
			} else if answers[0].Held {
				held.Add(1)
			}
		})
	}
	all.Wait()
	if held.Load() != 5 {
		t.Fatalf("a customer who may hold 5 units holds %d", held.Load())
	}
	for i := range 40 {
		all.Go(func() {
			by := inventory.Holder{HoldID: uuid.New(), Customer: string(rune('a' + i))}
			if _, err := s.shelf.HoldFor(t.Context(), by, []event.OrderLine{line(p[0], 1)}, until); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.wantFree(p[0], 8) // carts stop at 12 of 20
}

func TestUnitsOnOrderCountUntilTheOrderIsOver(t *testing.T) {
	s := newShop(t)
	known := &purchases{}
	s.shelf.Limits = inventory.Limits{CustomerUnits: 5, Purchases: known}
	p := s.sell(100)
	until := in(time.Minute)
	order := s.created(line(p[0], 4))
	by := inventory.Holder{HoldID: s.orders.known[order.OrderID].HoldID, Customer: "ann", Buying: true}
	s.holdFor(by, until, line(p[0], 4))
	cart := ann()
	want := []inventory.Answer{{Available: 1, Limit: over("max-customer-units", 5)}}
	if diff := cmp.Diff(want, s.holdFor(cart, until, line(p[0], 2))); diff != "" {
		t.Fatal(diff)
	}
	s.reserve(order)
	s.settle(s.said(order.OrderID)...)
	s.wantFree(p[0], 96)
	if diff := cmp.Diff(want, s.holdFor(cart, until, line(p[0], 2))); diff != "" {
		t.Fatalf("an order under way does not count any more: %s", diff)
	}
	if diff := cmp.Diff([][]uuid.UUID{{by.HoldID}}, known.asked); diff != "" {
		t.Fatalf("asked about (-want +got)\n%s", diff) // not while the hold was there
	}
	known.over = []uuid.UUID{by.HoldID}
	if !s.holdFor(cart, until, line(p[0], 5))[0].Held {
		t.Fatal("an order that is over still counts")
	}
}

func TestOneLineOverALimitIsNoHoldAtAll(t *testing.T) {
	s := newShop(t)
	s.shelf.Limits = inventory.Limits{CustomerShare: 0.25}
	p := s.sell(100, 8)
	answers, all, err := s.shelf.HoldAllFor(t.Context(), ann(), []event.OrderLine{line(p[0], 25), line(p[1], 3)}, in(time.Minute))
	if err != nil || all {
		t.Fatalf("all: %v, %v", all, err)
	}
	want := []inventory.Answer{{Held: true, Available: 25}, {Available: 2, Limit: over("max-product-share", 2)}}
	want[0].Available = 100
	if diff := cmp.Diff(want, answers); diff != "" {
		t.Fatal(diff)
	}
	s.wantFree(p[0], 100)
	s.wantFree(p[1], 8)
}

// Whose a hold is comes back with it when Redis is filled again.
func TestLimitsSurviveTheLossOfRedis(t *testing.T) {
	s := newShop(t)
	s.shelf.Limits = inventory.Limits{CustomerUnits: 5}
	p := s.sell(100)
	until, cart := in(time.Minute), ann()
	s.holdFor(cart, until, line(p[0], 4))
	s.holders.set(inventory.LiveHold{HoldID: cart.HoldID, Customer: "ann", ProductID: p[0], Quantity: 4, ExpiresAt: until})
	s.wipe()
	want := []inventory.Answer{{Available: 1, Limit: over("max-customer-units", 5)}}
	if diff := cmp.Diff(want, s.holdFor(ann(), until, line(p[0], 2))); diff != "" {
		t.Fatal(diff)
	}
	if !s.holdFor(cart, until, line(p[0], 5))[0].Held {
		t.Fatal("the cart's own hold stands in its way")
	}
}

func TestHoldingGoesOnOnlyForSoLong(t *testing.T) {
	s := newShop(t)
	known := &purchases{}
	s.shelf.Limits = inventory.Limits{MaxAge: time.Hour, Cooldown: 10 * time.Minute, Purchases: known}
	p := s.sell(100)
	by := ann()
	s.holdFor(by, in(50*time.Minute), line(p[0], 1))
	if err := s.shelf.Release(t.Context(), by.HoldID, p); err != nil {
		t.Fatal(err)
	}
	later := in(70 * time.Minute)
	got := s.holdFor(ann(), later, line(p[0], 1))[0]
	if got.Held || got.Limit == nil || got.Limit.Name != "hold-max-age" || got.Limit.Allowed != 3600 || got.Limit.Again <= 0 || got.Limit.Again > 10*time.Minute+time.Second {
		t.Fatalf("a customer who begins again holds for longer than one may: %+v %+v", got, got.Limit)
	}
	buying := ann()
	buying.Buying = true
	if !s.holdFor(buying, later, line(p[0], 1))[0].Held {
		t.Fatal("one who buys is told to wait")
	}
	known.bought = map[uuid.UUID]time.Time{p[0]: time.Now().Add(15 * time.Minute)}
	if !s.holdFor(ann(), later, line(p[0], 1))[0].Held {
		t.Fatal("one who has bought is told to wait")
	}
	known.bought = nil
	if !s.holdFor(inventory.Holder{HoldID: uuid.New(), Customer: "bob"}, in(time.Hour), line(p[0], 1))[0].Held {
		t.Fatal("one who comes new is told to wait")
	}
}
