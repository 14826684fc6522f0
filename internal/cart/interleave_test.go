package cart_test

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// The races that matter, one by one: each test stops an instance in the middle of a call and lets another one do its work.

func (s *shop) wantEqual(products ...uuid.UUID) {
	s.Helper()
	for _, p := range products {
		if diff := cmp.Diff(s.rows(p), s.onShelf(p)); diff != "" {
			s.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
		}
	}
}

func TestALineThatIsSetWhileItIsRemoved(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	other := s.instance()
	tea, cup := s.product(10), s.product(10)
	s.put("ann", cup, 1)
	s.put("ann", tea, 2)
	gone, held, released := make(chan struct{}), make(chan struct{}), make(chan struct{})
	beforeRelease := func() { close(gone); <-held }
	afterRelease := func() { close(released) }
	afterHold := func() { close(held); <-released }
	s.hooks.beforeRelease.Store(&beforeRelease)
	s.hooks.afterRelease.Store(&afterRelease)
	other.hooks.afterHold.Store(&afterHold)
	var both sync.WaitGroup
	both.Go(func() {
		if err := s.carts.Remove(t.Context(), "ann", tea); err != nil {
			t.Error(err)
		}
	})
	both.Go(func() {
		<-gone // from the rows
		if _, err := other.carts.Put(t.Context(), "ann", tea, 2); err != nil {
			t.Error(err)
		}
	})
	both.Wait()
	if v := s.get("ann"); len(v.Items) != 2 || len(s.onShelf(tea)) != 1 {
		t.Errorf("the cart is %+v with %v on the shelf, want the line that was set last", v, s.onShelf(tea))
	}
	s.wantEqual(tea, cup)
}

func TestALineThatIsSetByTwo(t *testing.T) {
	t.Parallel()
	for name, hook := range map[string]func(*shop, *func()){
		"before the hold": func(s *shop, do *func()) { s.hooks.beforeHold.Store(do) },
		"after the hold":  func(s *shop, do *func()) { s.hooks.afterHold.Store(do) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, usual)
			other := s.instance()
			tea := s.product(10)
			s.put("ann", tea, 1)
			faster := func() { other.put("ann", tea, 7) }
			hook(s, &faster)
			if v := s.put("ann", tea, 4); v.Items[0].Quantity != 4 || v.Version != 3 {
				t.Errorf("the cart is %+v, want the slower one's 4 at version 3", v)
			}
			s.wantEqual(tea)
		})
	}
}

func TestALineThatIsRefusedAfterALostRace(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.MaxLines = 1
	s := newShop(t, rules)
	other := s.instance()
	tea, cup := s.product(10), s.product(10)
	s.put("ann", tea, 1)
	if err := s.carts.Clear(t.Context(), "ann"); err != nil {
		t.Fatal(err)
	}
	faster := func() { other.put("ann", tea, 2) }
	s.hooks.afterHold.Store(&faster)
	_, err := s.carts.Put(t.Context(), "ann", cup, 3)
	wantKind(t, err, fault.LimitExceeded)
	s.wantEqual(tea, cup)
}

func TestTwoFirstLines(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	other := s.instance()
	tea, cup := s.product(10), s.product(10)
	var first uuid.UUID
	faster := func() { first = *other.put("ann", tea, 2).ID }
	s.hooks.afterHold.Store(&faster)
	if v := s.put("ann", cup, 3); *v.ID != first || len(v.Items) != 2 {
		t.Errorf("the cart is %+v, want both lines in cart %s", v, first)
	}
	s.wantEqual(tea, cup)
}

func TestALineThatIsSetWhileTheCartIsBought(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	other := s.instance()
	tea, cup := s.product(20), s.product(20)
	old := s.put("ann", tea, 2)
	s.exec(`UPDATE cart.carts SET expires_at = date_trunc('milliseconds', now()) + interval '9 minutes', first_line_at = now() - interval '6 minutes'`)
	buy := func() {
		basket, err := other.checkout("ann")
		if err == nil {
			err = other.buy(basket)
		}
		if err != nil {
			t.Error(err)
		}
	}
	s.hooks.beforeHold.Store(&buy)
	v := s.put("ann", tea, 5)
	if *v.ID == *old.ID {
		t.Error("the line is in the cart that was bought")
	}
	bought := s.entries(tea)[*old.ID]
	if bought.quantity < 2 || bought.until.Before(time.Now().Add(14*time.Minute)) {
		t.Errorf("the order holds %d until %s, want no less than the cart had, for as long", bought.quantity, bought.until)
	}
	if got := s.onShelf(tea)[*v.ID]; got != 5 {
		t.Errorf("the new cart holds %d, want 5", got)
	}

	s.hooks.beforeHold.Store(&buy)
	next := s.put("ann", cup, 3) // a line that the bought cart does not have
	if *next.ID == *v.ID {
		t.Error("the line is in the cart that was bought")
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*next.ID: 3}, s.onShelf(cup)); diff != "" {
		t.Errorf("on the shelf (-want +got):\n%s", diff)
	}
}

func TestACartThatChangesWhileItIsCheckedOut(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	other := s.instance()
	tea := s.product(20)
	v := s.put("ann", tea, 2)
	if err := s.shelf.Release(t.Context(), *v.ID, []uuid.UUID{tea}); err != nil { // lost: it has to be held again
		t.Fatal(err)
	}
	faster := func() { other.put("ann", tea, 6) }
	s.hooks.afterHold.Store(&faster)
	_, err := s.checkout("ann")
	wantKind(t, err, fault.CartChanged)
	s.wantEqual(tea)
	if s.onShelf(tea)[*v.ID] != 6 {
		t.Errorf("on the shelf are %v, want 6", s.onShelf(tea))
	}
}

// A line may be set so late that the cart is bought, its units are taken and its hold has ended. The late call holds them
// anew in the name of the cart, and has to notice that nobody needs that.
func TestALineThatIsSetAfterTheOrderTookItsUnits(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(10)
	first := s.put("ann", tea, 2)
	late := func() {
		basket, err := s.checkout("ann")
		if err != nil {
			t.Error(err)
			return
		}
		if err := s.buy(basket); err != nil {
			t.Error(err)
			return
		}
		s.exec(`INSERT INTO inventory.reservations (order_id, state, decided_by) SELECT order_id, 'RESERVED', id FROM cart.carts WHERE id = $1`, basket.CartID)
		s.exec(`UPDATE inventory.stock SET available = available - 2, allocated = allocated + 2, version = version + 1 WHERE product_id = $1`, tea)
		if over, err := s.shelf.EndIfOver(t.Context(), basket.CartID, []uuid.UUID{tea}); err != nil || len(over) != 1 { // as settling does
			t.Errorf("the order's hold does not end: %v, %v", over, err)
		}
	}
	other := s.instance()
	other.hooks.beforeHold.Store(&late)
	v := other.put("ann", tea, 3)
	if *v.ID == *first.ID {
		t.Error("the bought cart is used again")
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*v.ID: 3}, s.onShelf(tea)); diff != "" {
		t.Errorf("on the shelf (-want +got):\n%s", diff)
	}
	free, err := s.shelf.Available(t.Context(), []uuid.UUID{tea})
	if err != nil || free[tea] != 5 {
		t.Errorf("%d units are free, want 5: %v", free[tea], err)
	}
}

// Until the books have taken the units of a bought cart, no late call ends its hold.
func TestAnOrderThatIsUnderWayKeepsItsHold(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(10)
	s.put("ann", tea, 2)
	basket, err := s.checkout("ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.buy(basket); err != nil {
		t.Fatal(err)
	}
	over, err := s.shelf.EndIfOver(t.Context(), basket.CartID, []uuid.UUID{tea})
	if err != nil || len(over) != 0 {
		t.Errorf("over: %v, %v", over, err)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{basket.CartID: 2}, s.onShelf(tea)); diff != "" {
		t.Errorf("on the shelf (-want +got):\n%s", diff)
	}
}
