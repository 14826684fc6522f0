package inventory_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond).UTC() }

func TestHoldLoadsWhatRedisDoesNotHave(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 0, 7)
		cart, other, nothing := uuid.New(), uuid.New(), uuid.New()
		s.holders.set(inventory.LiveHold{HoldID: other, ProductID: p[2], Quantity: 5, ExpiresAt: in(time.Minute)})
		s.wipe()
		got := s.hold(cart, in(time.Minute), line(p[0], 4), line(p[1], 1), line(p[2], 3), line(nothing, 1), line(p[2], 2), line(p[0], 6))
		want := []inventory.Answer{
			{Held: true, Available: 10},
			{Held: false, Available: 0},
			{Held: false, Available: 2},
			{Held: false, Available: 0},
			{Held: true, Available: 2},
			{Held: true, Available: 10},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
		s.wantFree(p[0], 4)
		s.wantFree(p[2], 0)
		if err := s.shelf.Release(t.Context(), cart, p); err != nil {
			t.Fatal(err)
		}
		s.wantFree(p[0], 10)
		s.wantFree(p[2], 2)
	})
}

// wipe is what a restart of a Redis without memory does.
func (s *shop) wipe() {
	s.t.Helper()
	err := redisx.EachMaster(s.t.Context(), s.redis, func(ctx context.Context, node *redis.Client) error {
		keys, err := node.Keys(ctx, s.env.Namespace+"*").Result()
		for _, key := range keys {
			err = errors.Join(err, node.Unlink(ctx, key).Err())
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestHoldWithAnExpiryThatIsOver(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10)
		_, err := s.shelf.Hold(t.Context(), uuid.New(), []event.OrderLine{line(p[0], 1)}, in(-time.Second))
		if !errors.Is(err, inventory.ErrPast) {
			t.Fatalf("error %v", err)
		}
		_, err = s.shelf.Hold(t.Context(), uuid.New(), []event.OrderLine{line(p[0], -1)}, in(time.Minute))
		if err == nil || redisx.Unavailable(err) {
			t.Fatalf("-1 units: error %v", err)
		}
		s.wantFree(p[0], 10)
	})
}

func TestHoldAllTakesAllOrLeavesAllAsItWas(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 10, 3)
		hold, until := uuid.New(), in(time.Minute)
		s.hold(hold, until, line(p[0], 2))
		answers, all, err := s.shelf.HoldAll(t.Context(), hold, []event.OrderLine{line(p[0], 7), line(p[1], 1), line(p[2], 4)}, in(2*time.Minute))
		if err != nil || all {
			t.Fatalf("all %v, %v", all, err)
		}
		if diff := cmp.Diff([]inventory.Answer{{Held: true, Available: 10}, {Held: true, Available: 10}, {Available: 3}}, answers); diff != "" {
			t.Fatal(diff)
		}
		for i, want := range []int64{8, 10, 3} {
			s.wantFree(p[i], want)
		}
		extended, err := s.shelf.Extend(t.Context(), hold, p, until)
		if err != nil {
			t.Fatal(err)
		}
		want := []inventory.ExtendAnswer{{Outcome: inventory.Extended, Quantity: 2, Expiry: until}, {Outcome: inventory.Missing}, {Outcome: inventory.Missing}}
		if diff := cmp.Diff(want, extended); diff != "" {
			t.Fatal(diff)
		}
		if _, all, err = s.shelf.HoldAll(t.Context(), hold, []event.OrderLine{line(p[0], 7), line(p[2], 3)}, until); err != nil || !all {
			t.Fatalf("all %v, %v", all, err)
		}
		s.wantFree(p[0], 3)
	})
}

// Two attempts of one purchase are under way at once, and one of the products is not to be had: neither puts back what the other has
// given back.
func TestTwinsThatAreBothShortLeaveNothing(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 10, 10, 10, 10, 10, 10, 1)
		lines := make([]event.OrderLine, len(p))
		for i, id := range p {
			lines[i] = line(id, 2)
		}
		for range 100 {
			hold := uuid.New()
			var twins sync.WaitGroup
			for range 2 {
				twins.Go(func() {
					if _, all, err := s.shelf.HoldAll(t.Context(), hold, lines, in(time.Minute)); err != nil || all {
						t.Errorf("all %v, %v", all, err)
					}
				})
			}
			twins.Wait()
		}
		for i, want := range []int64{10, 10, 10, 10, 10, 10, 10, 1} {
			s.wantFree(p[i], want)
		}
	})
}

func TestExtendSaysWhatHasExpired(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10, 10)
		hold := uuid.New()
		soon := s.holdBriefly([]uuid.UUID{hold}, line(p[0], 2))
		s.wantFree(p[0], 10)
		s.hold(hold, soon.Add(time.Hour), line(p[1], 1))
		got, err := s.shelf.Extend(t.Context(), hold, p, soon.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		// reading has cleaned the expired one away
		if got[0].Outcome != inventory.Missing || got[1] != (inventory.ExtendAnswer{Outcome: inventory.Extended, Quantity: 1, Expiry: soon.Add(time.Hour)}) {
			t.Fatalf("extended %+v", got)
		}
		s.wantFree(p[0], 10)
	})
}

func TestDamagedKeysAreLoadedAnew(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10)
		hold, until := uuid.New(), in(time.Minute)
		s.hold(hold, until, line(p[0], 4))
		s.holders.set(inventory.LiveHold{HoldID: hold, ProductID: p[0], Quantity: 4, ExpiresAt: until})
		for _, key := range s.keys.Product(p[0]) {
			s.redis.Del(t.Context(), key)
			s.wantFree(p[0], 6)
			s.redis.Del(t.Context(), key)
			s.redis.LPush(t.Context(), key, "x")
			s.wantFree(p[0], 6)
			s.redis.Del(t.Context(), key)
			s.redis.Set(t.Context(), key, "12x", 0)
			s.wantFree(p[0], 6)
		}
	})
}

// A product with more holds than one call of the script takes.
func TestLoadOfManyHolds(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(5000)
		for range 1234 {
			s.holders.set(inventory.LiveHold{HoldID: uuid.New(), ProductID: p[0], Quantity: 2, ExpiresAt: in(time.Minute)})
		}
		s.wipe()
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if available, err := s.shelf.Available(t.Context(), p); err != nil || available[p[0]] != 5000-2468 {
					t.Errorf("available %d, %v", available[p[0]], err)
				}
			})
		}
		wg.Wait()
	})
}

// The loader reads a cart's row; the cart gives its hold back; the loader writes. And the same with a sale.
func TestNothingIsLoadedOverAChange(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10)
		hold := uuid.New()
		order := s.created(line(p[0], 4))
		for name, change := range map[string]func(){
			"release": func() {
				s.holders.set(inventory.LiveHold{HoldID: hold, ProductID: p[0]})
				if err := s.shelf.Release(t.Context(), hold, p); err != nil {
					t.Error(err)
				}
			},
			"sale": func() {
				s.holders.set(inventory.LiveHold{HoldID: hold, ProductID: p[0]})
				s.reserve(order)
				said := s.said(order.OrderID)
				stock, err := event.Decode[event.OrderStock](said[0])
				if err != nil {
					t.Error(err)
				}
				stock.HoldID = hold
				s.settle(order.Answer(event.StockReserved, stock))
			},
		} {
			s.wipe()
			s.holders.set(inventory.LiveHold{HoldID: hold, ProductID: p[0], Quantity: 4, ExpiresAt: in(time.Minute)})
			s.holders.read = sync.OnceFunc(change)
			got := s.free(p[0])
			s.holders.read = nil
			if want, _ := s.inBooks(p[0]); got != want {
				t.Errorf("%s: %d can be held and the books have %d", name, got, want)
			}
		}
	})
}

// The books have taken an order's units, and neither order nor shelf have heard: its hold is not loaded beside the lower stock.
func TestAHoldWhoseOrderIsDecidedIsNotLoaded(t *testing.T) {
	onEach(t, func(t *testing.T, s *shop) {
		p := s.sell(10)
		order := s.created(line(p[0], 4))
		hold, _ := event.Decode[event.Order](order)
		s.holders.set(inventory.LiveHold{HoldID: hold.HoldID, OrderID: order.OrderID, ProductID: p[0], Quantity: 4, ExpiresAt: in(time.Minute)})
		s.wipe()
		s.wantFree(p[0], 6)
		s.reserve(order)
		s.wipe()
		s.wantFree(p[0], 6)
	})
}

func TestRedisIsGone(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	p := newShopOn(t, env, env.RedisURL, 10*time.Second).sell(10)
	s := newShopOn(t, env, "redis://127.0.0.1:1", 300*time.Millisecond) // nobody listens there
	s.holders.set(inventory.LiveHold{HoldID: uuid.New(), ProductID: p[0], Quantity: 4, ExpiresAt: in(time.Minute)})
	ctx, lines := t.Context(), []event.OrderLine{line(p[0], 1)}
	fact := event.New(event.StockAdjusted, event.Shop, uuid.Nil, event.Stock{})
	calls := map[string]func(ctx context.Context) error{
		"hold": func(ctx context.Context) error {
			_, err := s.shelf.Hold(ctx, uuid.New(), lines, in(time.Minute))
			return err
		},
		"hold all": func(ctx context.Context) error {
			_, _, err := s.shelf.HoldAll(ctx, uuid.New(), lines, in(time.Minute))
			return err
		},
		"extend": func(ctx context.Context) error {
			_, err := s.shelf.Extend(ctx, uuid.New(), p, in(time.Minute))
			return err
		},
		"release":   func(ctx context.Context) error { return s.shelf.Release(ctx, uuid.New(), p) },
		"available": func(ctx context.Context) error { _, err := s.shelf.Available(ctx, p); return err },
		"settle": func(ctx context.Context) error {
			order := s.created(lines...)
			return s.shelf.Settle(ctx, []event.Fact{fact, order.Answer(event.OrderFailed, event.OrderState{})})
		},
	}
	for name, call := range calls {
		if err := call(ctx); !redisx.Unavailable(err) {
			t.Errorf("%s: %v is not known as an outage", name, err)
		}
	}
	if n := s.one(`SELECT count(*) FROM shared.inbox`); n != 0 {
		t.Error("a fact that Redis did not take was written down as heard")
	}
	offer, err := s.books.Get(ctx, p[0])
	if err != nil || offer.Available != 6 {
		t.Errorf("the catalogue shows %d, %v", offer.Available, err)
	}
}
