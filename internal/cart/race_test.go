package cart_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// TestWritersOfOneCartEndEqual lets several instances set, raise, lower and remove the same lines of one cart at once, with
// checkouts in between: at the end the shelf has exactly what the rows say.
func TestWritersOfOneCartEndEqual(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	products := []uuid.UUID{s.product(1000), s.product(1000), s.product(1000)}
	instances := []*shop{s, s.instance(), s.instance()}
	var all sync.WaitGroup
	for i := range 9 {
		one := instances[i%len(instances)].carts
		rng := rand.New(rand.NewPCG(7, uint64(i)))
		all.Go(func() {
			for range 25 {
				if err := scribble(t.Context(), one, rng, products); err != nil && !fault.Is(err, fault.Conflict) {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, p := range products {
		if diff := cmp.Diff(s.rows(p), s.onShelf(p)); diff != "" {
			t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
		}
	}
}

func scribble(ctx context.Context, carts *cart.Service, rng *rand.Rand, products []uuid.UUID) error {
	p := products[rng.IntN(len(products))]
	switch rng.IntN(10) {
	case 0:
		return carts.Remove(ctx, "ann", p)
	case 1:
		return carts.Clear(ctx, "ann")
	default:
		_, err := carts.Put(ctx, "ann", p, rng.Int64N(6))
		return err
	}
}

// TestACartThatIsBoughtWhileItIsWritten lets lines be set while the cart is bought: the bought cart's hold stays what was
// bought, and nothing else is held by it.
func TestACartThatIsBoughtWhileItIsWritten(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	other := s.instance()
	bought := 0
	for range 40 {
		tea, cup := s.product(100), s.product(100)
		customer := uuid.NewString()
		cartID := *s.put(customer, tea, 3).ID
		var all sync.WaitGroup
		for _, quantity := range []int64{1, 5} {
			all.Go(func() { _, err := other.carts.Put(t.Context(), customer, tea, quantity); noSurprise(t, err) })
		}
		all.Go(func() { _, err := other.carts.Put(t.Context(), customer, cup, 2); noSurprise(t, err) })
		var basket cart.Basket
		taken := false
		all.Go(func() {
			var err error
			if basket, err = s.checkout(customer); err == nil {
				err = s.buy(basket)
			}
			taken = err == nil
			noSurprise(t, err)
		})
		all.Wait()
		if taken {
			bought++
			s.checkBought(basket, tea, cup)
		}
		for _, p := range []uuid.UUID{tea, cup} {
			got := s.onShelf(p)
			if taken {
				delete(got, cartID)
			}
			if diff := cmp.Diff(s.rows(p), got); diff != "" {
				t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
			}
		}
	}
	if bought == 0 {
		t.Error("no cart was bought: the race did not take place")
	}
}

// checkBought looks at the hold of a bought cart: no less than was bought, for as long as was asked for, and nothing else.
func (s *shop) checkBought(b cart.Basket, products ...uuid.UUID) {
	s.Helper()
	wanted := map[uuid.UUID]int64{}
	for _, l := range b.Lines {
		wanted[l.ProductID] = l.Quantity
	}
	for _, p := range products {
		got := s.entries(p)[b.CartID]
		if got.quantity < wanted[p] || (wanted[p] == 0 && got.quantity > 0) {
			s.Errorf("the bought cart holds %d of %s, want %d", got.quantity, p, wanted[p])
		}
		if wanted[p] > 0 && got.until.Before(time.Now().Add(usual.TTL-time.Minute)) {
			s.Errorf("the bought cart holds %s until %s only", p, got.until)
		}
	}
}

func noSurprise(t *testing.T, err error) {
	t.Helper()
	if err != nil && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.CartChanged) {
		t.Error(err)
	}
}

func TestTheLastUnitGoesToOneOfManyCarts(t *testing.T) {
	onEach(t, usual, func(t *testing.T, s *shop) {
		last := s.product(1)
		var won atomic.Int64
		var all sync.WaitGroup
		for range 50 {
			customer := uuid.NewString()
			all.Go(func() {
				_, err := s.carts.Put(t.Context(), customer, last, 1)
				if err == nil {
					won.Add(1)
					return
				}
				wantKind(t, err, fault.OutOfStock)
				if f := fault.As(err); f == nil || f.Available == nil || *f.Available != 0 {
					t.Errorf("error is %v, want it to say that none are available", err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("%d carts got the last unit", won.Load())
		}
		if diff := cmp.Diff(s.rows(last), s.onShelf(last)); diff != "" || len(s.rows(last)) != 1 {
			t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
		}
	})
}

func TestACartIsBoughtOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	instances := []*shop{s, s.instance()}
	s.put("ann", s.product(5), 1)
	var won atomic.Int64
	var all sync.WaitGroup
	for i := range 20 {
		one := instances[i%len(instances)]
		all.Go(func() {
			basket, err := one.checkout("ann")
			if err == nil {
				err = one.buy(basket)
			}
			if err == nil {
				won.Add(1)
				return
			}
			wantKind(t, err, fault.CartChanged)
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("the cart was bought %d times", won.Load())
	}
}

func TestACallThatIsBrokenOffLeavesTheShelfAsTheRowsAre(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(100)
	s.put("ann", tea, 1)
	away := false // Redis was too slow even for giving back: units are left to their expiry then, and said to be
	for i := range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*200*time.Microsecond)
		_, err := s.carts.Put(ctx, "ann", tea, int64(2+i%3))
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !fault.Is(err, fault.Unavailable) && !fault.Is(err, fault.Conflict) {
			t.Error(err)
		}
		away = away || fault.Is(err, fault.Unavailable)
	}
	rows, shelf := s.rows(tea), s.onShelf(tea)
	for id, n := range rows {
		if shelf[id] < n || !away && shelf[id] != n {
			t.Errorf("cart %s has %d units and holds %d", id, n, shelf[id])
		}
	}
	if len(shelf) != len(rows) {
		t.Errorf("rows and shelf differ: %v and %v", rows, shelf)
	}
}
