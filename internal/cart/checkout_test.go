package cart_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestCheckoutKeepsUnitsHeldForTheOrder(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(10), s.product(10)
		s.put("ann", tea, 2)
		v := s.put("ann", cup, 1)
		until := time.Now().Add(2 * time.Hour).Truncate(time.Millisecond)
		basket, err := s.carts.Checkout(t.Context(), "ann", &v.Version, until)
		if err != nil {
			t.Fatal(err)
		}
		if basket.CartID != *v.ID || basket.Version != v.Version || !basket.ExpiresAt.Equal(until) {
			t.Errorf("basket is %+v, want the cart %s at version %d until %s", basket, *v.ID, v.Version, until)
		}
		if diff := cmp.Diff([]event.OrderLine{{ProductID: tea, Quantity: 2}, {ProductID: cup, Quantity: 1}}, basket.Lines); diff != "" {
			t.Errorf("lines (-want +got):\n%s", diff)
		}
		if err := s.buy(basket); err != nil {
			t.Fatal(err)
		}
		for _, p := range []uuid.UUID{tea, cup} {
			if got := s.entries(p)[basket.CartID].until; !got.Equal(until) {
				t.Errorf("units are held until %s, want %s", got, until)
			}
		}
		next := s.put("ann", tea, 1)
		if *next.ID == basket.CartID || next.Version != 1 {
			t.Errorf("the next line is in cart %s at version %d, want a new cart", *next.ID, next.Version)
		}
		if diff := cmp.Diff(map[uuid.UUID]int64{basket.CartID: 2, *next.ID: 1}, s.onShelf(tea)); diff != "" {
			t.Errorf("on the shelf (-want +got):\n%s", diff)
		}
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(10)
	old := s.put("ann", tea, 2).Version
	v := s.put("ann", tea, 3)
	checkout := func(version int64) error {
		_, err := s.carts.Checkout(t.Context(), "ann", &version, time.Now().Add(time.Hour))
		return err
	}
	wantKind(t, checkout(old), fault.CartChanged)
	wantKind(t, checkout(v.Version+1), fault.CartChanged)
	wantKind(t, checkout(-1), fault.CartChanged)
	basket, err := s.checkout("ann")
	if err != nil {
		t.Fatal(err)
	}
	s.put("ann", tea, 4)
	wantKind(t, s.buy(basket), fault.CartChanged) // changed after the checkout
	if basket, err = s.checkout("ann"); err != nil {
		t.Fatal(err)
	}
	if err := s.buy(basket); err != nil {
		t.Fatal(err)
	}
	wantKind(t, s.buy(basket), fault.CartChanged)
	wantKind(t, checkout(basket.Version), fault.CartChanged)
	_, err = s.checkout("ann")
	wantKind(t, err, fault.CartChanged) // a twin that comes a moment late
	s.exec(`UPDATE cart.carts SET changed_at = changed_at - interval '2 minutes'`)
	_, err = s.checkout("ann")
	wantKind(t, err, fault.CartEmpty)
	wantKind(t, checkout(0), fault.CartEmpty)
	_, err = s.checkout("bob")
	wantKind(t, err, fault.CartEmpty)
}

func TestAnOrderThatFailsLeavesTheCart(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(3)
	before := s.put("ann", tea, 3)
	basket, err := s.checkout("ann")
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the order's transaction fails")
	err = s.env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		if err := s.carts.Take(t.Context(), tx, basket.CartID, basket.Version, uuid.New()); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, s.get("ann")); diff != "" {
		t.Errorf("the cart has changed (-before +after):\n%s", diff)
	}
	if basket, err = s.checkout("ann"); err != nil {
		t.Fatal(err)
	}
	if err := s.buy(basket); err != nil {
		t.Error(err)
	}
}

func TestAnExpiredCart(t *testing.T) {
	rules := usual
	rules.TTL = 700 * time.Millisecond
	onEach(t, rules, func(t *testing.T, s *shop) {
		tea, cup := s.product(3), s.product(3)
		s.put("ann", tea, 2)
		before := s.put("ann", cup, 2)
		testkit.Eventually(t, 20*time.Second, func() bool { return !s.get("ann").Items[0].Held })
		if v := s.get("ann"); len(v.Items) != 2 || v.Version != before.Version || !v.ExpiresAt.Equal(*before.ExpiresAt) {
			t.Errorf("an expired cart is shown as %+v", v)
		}
		testkit.Eventually(t, 20*time.Second, func() bool { return len(s.onShelf(cup)) == 0 })

		rival := newShopOn(t, s.env, usual).put("bob", cup, 2)
		_, err := s.checkout("ann")
		wantKind(t, err, fault.HoldExpired)
		if f := fault.As(err); f == nil || len(f.Lines) != 1 || f.Lines[0].ProductID != cup.String() || *f.Lines[0].Available != 1 {
			t.Errorf("error is %+v, want it to name the line that cannot be had", f)
		}
		if held := s.onShelf(tea); len(held) != 0 {
			t.Errorf("a refused checkout leaves %v on the shelf", held)
		}
		if err := s.carts.Clear(t.Context(), "bob"); err != nil {
			t.Fatal(err)
		}
		basket, err := s.checkout("ann")
		if err != nil {
			t.Fatal(err)
		}
		if basket.Version != before.Version {
			t.Errorf("to hold the lines again made version %d of %d", basket.Version, before.Version)
		}
		for _, p := range []uuid.UUID{tea, cup} {
			if got := s.entries(p)[basket.CartID]; got.quantity != 2 || got.until.Before(time.Now().Add(50*time.Minute)) || len(s.onShelf(p)) != 1 {
				t.Errorf("held again is %+v of %v (rival %s)", got, s.onShelf(p), *rival.ID)
			}
		}
		if err := s.buy(basket); err != nil {
			t.Error(err)
		}
	})
}

func TestUsingAnExpiredCartHoldsItsLinesAgain(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.TTL = 700 * time.Millisecond
	s := newShop(t, rules)
	tea, cup, pot := s.product(2), s.product(2), s.product(2)
	s.put("ann", tea, 2)
	before := s.put("ann", cup, 2)
	testkit.Eventually(t, 20*time.Second, func() bool { return len(s.onShelf(tea)) == 0 && !s.get("ann").Items[0].Held })
	rules.TTL = time.Hour
	rules.MaxAge = 4 * time.Hour
	long := newShopOn(t, s.env, rules)
	long.put("bob", cup, 1)
	v := long.put("ann", pot, 1)
	held := map[uuid.UUID]bool{}
	for _, item := range v.Items {
		held[item.ProductID] = item.Held
	}
	if diff := cmp.Diff(map[uuid.UUID]bool{tea: true, cup: false, pot: true}, held); diff != "" {
		t.Errorf("held (-want +got):\n%s", diff)
	}
	if *v.ID != *before.ID || v.Version != before.Version+1 {
		t.Errorf("answer is cart %s at version %d", *v.ID, v.Version)
	}
	for _, p := range []uuid.UUID{tea, cup, pot} {
		if diff := cmp.Diff(s.rows(p), s.onShelf(p)); diff != "" {
			t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
		}
	}
	_, err := long.checkout("ann")
	wantKind(t, err, fault.HoldExpired)
	if v := long.put("ann", cup, 1); !v.Items[1].Held || v.Items[1].Quantity != 1 {
		t.Errorf("a line that asks for less is %+v", v.Items[1])
	}
	if _, err := long.checkout("ann"); err != nil {
		t.Error(err)
	}
}

func TestALostHold(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(2), s.product(2)
		s.put("ann", tea, 2)
		v := s.put("ann", cup, 2)
		lose := func(p uuid.UUID) {
			t.Helper()
			if err := s.shelf.Release(t.Context(), *v.ID, []uuid.UUID{p}); err != nil {
				t.Fatal(err)
			}
		}
		lose(tea)
		if _, err := s.checkout("ann"); err != nil { // nobody had taken it: it is held again
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[uuid.UUID]int64{*v.ID: 2}, s.onShelf(tea)); diff != "" {
			t.Errorf("on the shelf (-want +got):\n%s", diff)
		}
		lose(cup)
		s.put("bob", cup, 1)
		_, err := s.checkout("ann")
		wantKind(t, err, fault.HoldLost)
		if f := fault.As(err); f == nil || len(f.Lines) != 1 || f.Lines[0].ProductID != cup.String() || *f.Lines[0].Requested != 2 || *f.Lines[0].Available != 1 {
			t.Errorf("error is %+v, want it to name the line", f)
		}
		shown := s.get("ann")
		if shown.Items[1].Held || !shown.Items[0].Held || shown.Version != v.Version {
			t.Errorf("the cart is shown as %+v, want the lost line as not held at the same version", shown)
		}
		if diff := cmp.Diff(s.rows(cup), s.onShelf(cup)); diff != "" {
			t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
		}
		if v := s.put("ann", cup, 1); !v.Items[1].Held {
			t.Error("the line is not held after it asked for what there is")
		}
		if _, err := s.checkout("ann"); err != nil {
			t.Error(err)
		}
	})
}

func TestAShelfThatForgotEverything(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea := s.product(5)
		ann := s.put("ann", tea, 2)
		bob := s.put("bob", tea, 2)
		if err := s.env.Redis.Del(t.Context(), s.keys.Product(tea)...).Err(); err != nil {
			t.Fatal(err)
		}
		_, err := s.carts.Put(t.Context(), "eve", tea, 2) // what the rows hold is loaded before anyone else gets it
		wantKind(t, err, fault.OutOfStock)
		if _, err := s.checkout("ann"); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[uuid.UUID]int64{*ann.ID: 2, *bob.ID: 2}, s.onShelf(tea)); diff != "" {
			t.Errorf("on the shelf (-want +got):\n%s", diff)
		}
	})
}
