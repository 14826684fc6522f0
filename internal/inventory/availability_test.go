package inventory_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// mine lets Availability know what a customer holds.
func mine(holds ...inventory.LiveHold) func(context.Context, string, uuid.UUID) ([]inventory.LiveHold, error) {
	return func(_ context.Context, customer string, _ uuid.UUID) ([]inventory.LiveHold, error) {
		if customer != "ann" {
			return nil, nil
		}
		return holds, nil
	}
}

func (s *shop) wantAvailability(p uuid.UUID, customer string, want inventory.Availability) {
	s.t.Helper()
	got, err := s.books.Availability(s.t.Context(), p, customer)
	if err != nil {
		s.t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(2*time.Second)); diff != "" {
		s.t.Fatalf("availability (-want +got)\n%s", diff)
	}
}

func TestAvailabilityFollowsAUnitThroughItsLife(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)[0]
	s.wantAvailability(p, "ann", inventory.Availability{OnHand: 10, Free: 10})
	order := s.created(line(p, 2))
	ann, bob, joe := s.orders.known[order.OrderID].HoldID, uuid.New(), uuid.New()
	soon, next, late := in(time.Minute), in(2*time.Minute), in(3*time.Minute)
	s.hold(ann, soon, line(p, 2))
	s.hold(bob, next, line(p, 3))
	s.hold(joe, late, line(p, 1))
	s.books.HoldsOf = mine(inventory.LiveHold{HoldID: ann, ProductID: p, Quantity: 2, ExpiresAt: soon})
	s.wantAvailability(p, "ann", inventory.Availability{OnHand: 10, Held: 6, Free: 4, MyHold: 2, NextExpiry: &next})
	s.wantAvailability(p, "", inventory.Availability{OnHand: 10, Held: 6, Free: 4, NextExpiry: &soon})
	s.reserve(order)
	s.settle(s.said(order.OrderID)...)
	s.wantAvailability(p, "ann", inventory.Availability{OnHand: 10, Allocated: 2, Held: 4, Free: 4, NextExpiry: &next})
	s.release(ending(order))
	s.settle(s.said(order.OrderID)...)
	s.wantAvailability(p, "ann", inventory.Availability{OnHand: 10, Held: 4, Free: 6, NextExpiry: &next})
	if _, err := s.books.Availability(t.Context(), uuid.New(), "ann"); !fault.Is(err, fault.NotFound) {
		t.Errorf("of a product that is not there: %v", err)
	}
}

func TestAvailabilityWithoutRedisComesFromTheRows(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	p := newShopOn(t, env, env.RedisURL, 10*time.Second).sell(10)[0]
	s := newShopOn(t, env, "redis://127.0.0.1:1", 300*time.Millisecond) // nobody listens there
	own := inventory.LiveHold{HoldID: uuid.New(), ProductID: p, Quantity: 4, ExpiresAt: in(time.Minute)}
	next := in(2 * time.Minute)
	s.holders.set(own)
	s.holders.set(inventory.LiveHold{HoldID: uuid.New(), ProductID: p, Quantity: 1, ExpiresAt: next})
	s.books.HoldsOf = mine(own)
	s.wantAvailability(p, "ann", inventory.Availability{OnHand: 10, Held: 5, Free: 5, MyHold: 4, NextExpiry: &next, Estimated: true})
	s.wantAvailability(p, "", inventory.Availability{OnHand: 10, Held: 5, Free: 5, NextExpiry: &own.ExpiresAt, Estimated: true})
}

func TestAvailabilityOverHTTP(t *testing.T) {
	s := newSite(t)
	p := s.sell(10)[0]
	s.hold(uuid.New(), in(time.Hour), line(p, 3))
	path := "/products/" + p.String() + "/availability"
	got := s.want(200, s.ask("GET", path, "")).body
	if _, err := time.Parse(time.RFC3339, got["next_expiry"].(string)); err != nil {
		t.Error(err)
	}
	delete(got, "next_expiry")
	want := map[string]any{"product_id": p.String(), "on_hand": 10.0, "allocated": 0.0, "held": 3.0, "free": 7.0, "over_held": 0.0, "my_hold": 0.0, "loading": false, "estimated": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	s.want(200, s.ask("GET", path, "", "Authorization", "Bearer "+s.token))
	s.want(401, s.ask("GET", path, "", "Authorization", "Bearer x.y.z"))
	s.want(401, s.ask("GET", path, "", "Authorization", ""))
	s.want(400, s.ask("GET", path+"?x=1", ""))
	s.want(404, s.ask("GET", "/products/"+uuid.NewString()+"/availability", ""))
	s.want(404, s.ask("GET", "/products/7/availability", ""))
}
