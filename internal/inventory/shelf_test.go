package inventory_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func in(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond).UTC() }

func TestHoldLoadsWhatRedisDoesNotHave(t *testing.T) {
	s := newShop(t)
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
}

// wipe is what a restart of a Redis without memory does.
func (s *shop) wipe() {
	s.t.Helper()
	var keys []string
	scan := s.redis.Scan(s.t.Context(), 0, s.env.Namespace+"*", 1000).Iterator()
	for scan.Next(s.t.Context()) {
		keys = append(keys, scan.Val())
	}
	if err := scan.Err(); err != nil {
		s.t.Fatal(err)
	}
	if len(keys) > 0 {
		s.redis.Unlink(s.t.Context(), keys...)
	}
}

func TestHoldWithAnExpiryThatIsOver(t *testing.T) {
	s := newShop(t)
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
}

func TestHoldAllTakesAllOrLeavesAllAsItWas(t *testing.T) {
	s := newShop(t)
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
}

func TestExtendSaysWhatHasExpired(t *testing.T) {
	s := newShop(t)
	p := s.sell(10, 10)
	hold, soon := uuid.New(), in(1500*time.Millisecond)
	s.hold(hold, soon, line(p[0], 2))
	testkit.Eventually(t, 10*time.Second, func() bool { return s.free(p[0]) == 10 || time.Now().After(soon.Add(time.Second)) })
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
}

func TestDamagedKeysAreLoadedAnew(t *testing.T) {
	s := newShop(t)
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
}

// A product with more holds than one call of the script takes.
func TestLoadOfManyHolds(t *testing.T) {
	s := newShop(t)
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
}

// The loader reads a cart's row; the cart gives its hold back; the loader writes. And the same with a sale.
func TestNothingIsLoadedOverAChange(t *testing.T) {
	s := newShop(t)
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
}

// The books have taken an order's units, and neither order nor shelf have heard: its hold is not loaded beside the lower stock.
func TestAHoldWhoseOrderIsDecidedIsNotLoaded(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)
	order := s.created(line(p[0], 4))
	hold, _ := event.Decode[event.Order](order)
	s.holders.set(inventory.LiveHold{HoldID: hold.HoldID, OrderID: order.OrderID, ProductID: p[0], Quantity: 4, ExpiresAt: in(time.Minute)})
	s.wipe()
	s.wantFree(p[0], 6)
	s.reserve(order)
	s.wipe()
	s.wantFree(p[0], 6)
}

func TestSettleBringsTheBooksToTheShelf(t *testing.T) {
	s := newShop(t)
	p := s.sell(10, 10)
	s.wantFree(p[0], 10)
	order := s.created(line(p[0], 4), line(p[1], 1))
	hold, _ := event.Decode[event.Order](order)
	s.hold(hold.HoldID, in(time.Minute), hold.Lines...)
	s.reserve(order)
	s.wantFree(p[0], 6) // held
	reserved := s.said(order.OrderID)[0]
	s.settle(reserved, reserved)
	s.wantFree(p[0], 6) // sold
	s.release(ending(order))
	released := s.said(order.OrderID)[1]
	s.settle(released)
	s.settle(reserved) // late
	s.wantFree(p[0], 10)
	s.wantFree(p[1], 10)
	if n := s.one(`SELECT count(*) FROM shared.inbox WHERE module = 'shelf'`); n != 2 {
		t.Errorf("%d facts in the shelf's inbox", n)
	}

	moved, err := s.books.Restock(t.Context(), p[0], 5, "delivery")
	if err != nil || moved.Balance != 15 {
		t.Fatalf("restocked to %d, %v", moved.Balance, err)
	}
	shop := s.said(uuid.Nil)
	s.settle(shop...)
	s.wantFree(p[0], 15)
}

func TestSettleEndsTheHoldOfAnOrderThatFailed(t *testing.T) {
	s := newShop(t)
	p := s.sell(10, 0)
	for _, end := range []event.Name{event.OrderFailed, event.OrderCancelled} {
		order := s.created(line(p[0], 4))
		hold, _ := event.Decode[event.Order](order)
		s.hold(hold.HoldID, in(time.Minute), hold.Lines...)
		s.settle(order.Answer(event.OrderCompleted, event.OrderState{}))
		s.wantFree(p[0], 6)
		s.settle(order.Answer(end, event.OrderState{}))
		s.wantFree(p[0], 10)
	}
}

// A product that is off the shelf while it is sold comes back as the books have it.
func TestSettleOfWhatIsNotLoaded(t *testing.T) {
	s := newShop(t)
	p := s.sell(10)
	order := s.created(line(p[0], 4))
	s.reserve(order)
	s.wipe()
	s.settle(s.said(order.OrderID)...)
	s.wantFree(p[0], 6)
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
		start := time.Now()
		if err := call(ctx); !redisx.Unavailable(err) {
			t.Errorf("%s: %v is not known as an outage", name, err)
		}
		if took := time.Since(start); took > 500*time.Millisecond && name != "settle" { // which reads Postgres first
			t.Errorf("%s: %v", name, took)
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

func TestSweeperCleansWhatHasExpired(t *testing.T) {
	s := newShop(t)
	p := s.sell(10_000, 10_000, 10_000)
	soon := in(2 * time.Second)
	for range 130 {
		s.hold(uuid.New(), soon, line(p[0], 1), line(p[1], 1))
	}
	s.hold(uuid.New(), in(time.Hour), line(p[1], 1), line(p[2], 1))
	testkit.Eventually(t, 20*time.Second, func() bool { return time.Now().After(soon.Add(50 * time.Millisecond)) })
	sweepers := make([]*inventory.Sweeper, 3)
	var wg sync.WaitGroup
	for i := range sweepers {
		sweepers[i] = inventory.NewSweeper(s.redis, s.scripts, s.keys, time.Millisecond, s.env.Log)
	}
	ctx, stop := context.WithCancel(t.Context())
	for _, sweeper := range sweepers {
		wg.Go(func() {
			if err := sweeper.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	entries := func(p uuid.UUID) int64 { return s.redis.HLen(t.Context(), s.keys.Product(p)[2]).Val() }
	testkit.Eventually(t, 20*time.Second, func() bool { return entries(p[0]) == 0 && entries(p[1]) == 1 && entries(p[2]) == 1 })
	stop()
	wg.Wait()
	if n, err := sweepers[0].Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("swept %d more, %v", n, err)
	}
	for i, want := range []int64{10_000, 9_999, 9_999} {
		s.wantFree(p[i], want)
	}
	hint, err := s.redis.ZScore(t.Context(), s.keys.Due(p[1]), p[1].String()).Result()
	if err != nil || hint <= float64(soon.UnixMilli()) {
		t.Errorf("the product with a hold left is due at %v, %v", hint, err)
	}
}
