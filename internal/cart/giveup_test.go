package cart_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// giveUp ends a checkout without an order.
func (s *shop) giveUp(b cart.Basket) {
	ids := make([]uuid.UUID, len(b.Lines))
	for i, l := range b.Lines {
		ids[i] = l.ProductID
	}
	s.carts.GiveUp(s.Context(), b.CartID, b.Checkout, ids)
}

// A checkout of which no order comes leaves the holds as it found them: live ones end when they did before, and of what was not
// held nothing is.
func TestAGivenUpCheckoutLeavesHoldsAsTheyWere(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		tea, cup := s.product(5), s.product(5)
		s.put("ann", tea, 2)
		s.put("ann", cup, 1)
		before := []map[uuid.UUID]entry{s.entries(tea), s.entries(cup)}
		basket, err := s.checkout("ann")
		if err != nil {
			t.Fatal(err)
		}
		s.giveUp(basket)
		s.giveUp(basket)
		if diff := cmp.Diff(before, []map[uuid.UUID]entry{s.entries(tea), s.entries(cup)}, cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("a checkout given up changed the holds (-before +after):\n%s", diff)
		}

		s.age(basket.CartID, 2*usual.TTL) // it has expired, and its units are anybody's
		s.release(basket.CartID, tea, cup)
		if basket, err = s.checkout("ann"); err != nil {
			t.Fatal(err)
		}
		s.giveUp(basket)
		if held := len(s.entries(tea)) + len(s.entries(cup)); held != 0 || s.get("ann").Items[0].Held {
			t.Errorf("a checkout of an expired cart that was given up leaves %d holds", held)
		}
	})
}

// A checkout that is refused for one line leaves the others as it found them.
func TestACheckoutThatLacksALineGivesTheOthersTheirTimeBack(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea, cup := s.product(5), s.product(5)
	s.put("ann", tea, 2)
	cartID := *s.put("ann", cup, 5).ID
	before := s.entries(tea)
	s.release(cartID, cup)
	s.put("bob", cup, 1)
	_, err := s.checkout("ann")
	wantKind(t, err, fault.HoldLost)
	if diff := cmp.Diff(before, s.entries(tea), cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("a refused checkout changed the hold of another line (-before +after):\n%s", diff)
	}
}

// Of two checkouts of one cart the one that loses, in whichever order they came and end, never shortens the other's hold.
func TestALosersUndoLeavesTheWinnersHold(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	for _, first := range []bool{true, false} {
		for _, late := range []bool{true, false} { // the loser gives up after the winner has its order
			tea, customer := s.product(5), uuid.NewString()
			s.put(customer, tea, 2)
			one, err := s.checkout(customer)
			if err != nil {
				t.Fatal(err)
			}
			two, err := s.checkout(customer)
			if err != nil {
				t.Fatal(err)
			}
			winner, loser := one, two
			if !first {
				winner, loser = two, one
			}
			if !late {
				s.giveUp(loser)
			}
			if err := s.buy(winner); err != nil {
				t.Fatal(err)
			}
			if late {
				wantKind(t, s.buy(loser), fault.CartChanged)
				s.giveUp(loser)
			}
			if got := s.entries(tea)[winner.CartID].until; got.Before(winner.ExpiresAt.Truncate(time.Millisecond)) {
				t.Errorf("first %v, late %v: the order's hold ends at %s, want %s", first, late, got, winner.ExpiresAt)
			}
		}
	}
}

// Whoever gives up a checkout of which an order came after all, or comes in the end, leaves the order its hold: the cart's row decides.
func TestACheckoutThatWasBoughtIsNotGivenUp(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(5)
	s.put("ann", tea, 2)
	basket, err := s.checkout("ann")
	if err != nil {
		t.Fatal(err)
	}
	bought := s.entries(tea)
	over := make(chan struct{})
	err = s.env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
		if err := s.carts.Take(t.Context(), tx, basket.CartID, basket.Version, uuid.Must(uuid.NewV7())); err != nil {
			return err
		}
		go func() { s.giveUp(basket); close(over) }()
		testkit.Eventually(t, time.Minute, func() bool { // it waits for the order, or does not
			select {
			case <-over:
				return true
			default:
			}
			var waits bool
			err := s.env.DB.QueryRow(t.Context(), `SELECT EXISTS (
				SELECT FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits)
			return err == nil && waits
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	<-over
	s.giveUp(basket)
	if diff := cmp.Diff(bought, s.entries(tea), cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("a checkout that was bought was given up (-before +after):\n%s", diff)
	}
}

// Many checkouts at once that all come to nothing, with the cart being used beside them, leave the cart's own time.
func TestManyCheckoutsOfNothingLeaveTheCartsTime(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(50)
	s.put("ann", tea, 1)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			for n := range 10 {
				if i == 0 {
					_, err := s.carts.Put(t.Context(), "ann", tea, int64(n%3+1))
					noSurprise(t, err)
				} else if basket, err := s.checkout("ann"); err == nil {
					s.giveUp(basket)
				}
			}
		})
	}
	all.Wait()
	view := s.get("ann")
	want := map[uuid.UUID]entry{*view.ID: {view.Items[0].Quantity, *view.ExpiresAt}}
	if diff := cmp.Diff(want, s.entries(tea), cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("(-cart +shelf):\n%s", diff)
	}
}

// A line that is set while its cart is bought, by a call that comes after the checkout, takes nothing of the order's time.
func TestDrillALateLineNeverShortensAnOrdersHold(t *testing.T) {
	t.Parallel()
	rules := usual
	rules.TTL = 4 * time.Second
	s := newShop(t, rules)
	other := s.instance()
	var rounds sync.WaitGroup
	var left, bought atomic.Int64
	left.Store(int64(testkit.Size(25, 1000)))
	for range 8 {
		rounds.Go(func() {
			for left.Add(-1) >= 0 && !t.Failed() {
				if s.lateLine(other) {
					bought.Add(1)
				}
			}
		})
	}
	rounds.Wait()
	t.Logf("%d carts were bought while their lines were set", bought.Load())
}

// lateLine buys a cart while another instance sets its line, and says whether there was an order.
func (s *shop) lateLine(other *shop) (bought bool) {
	tea, customer := s.product(20), uuid.NewString()
	s.put(customer, tea, 2)
	var all sync.WaitGroup
	for _, quantity := range []int64{1, 5} {
		all.Go(func() { _, err := other.carts.Put(s.Context(), customer, tea, quantity); noSurprise(s.T, err) })
	}
	basket, err := s.checkout(customer)
	if err == nil {
		if err = s.buy(basket); err != nil {
			s.giveUp(basket)
		}
	}
	all.Wait()
	if got := s.entries(tea)[basket.CartID].until; err == nil && got.Before(basket.ExpiresAt.Truncate(time.Millisecond)) {
		s.Errorf("the order's hold ends at %s, want %s", got, basket.ExpiresAt)
	}
	noSurprise(s.T, err)
	return err == nil
}

func (s *shop) release(cartID uuid.UUID, products ...uuid.UUID) {
	s.Helper()
	if err := s.shelf.Release(s.Context(), cartID, products); err != nil {
		s.Fatal(err)
	}
}
