package cart_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// TestDrillSweepersRaceWithCustomers lets two instances sweep both sides without a pause, while customers fill, change, leave
// and buy carts whose time is short, and a day passes for every cart that has expired. What was bought keeps its units, and
// what was not comes back once.
func TestDrillSweepersRaceWithCustomers(t *testing.T) {
	t.Parallel()
	const buyers = 4
	calls := testkit.Size(30, 5000)    // of each buyer
	stock := int64(buyers * calls * 3) // more than all of them can buy
	seed := testkit.Seed(t)
	rules := usual
	rules.TTL, rules.MaxAge = 60*time.Millisecond, time.Second
	s := newShop(t, rules)
	instances := []*shop{s, s.instance()}
	products := make([]uuid.UUID, 6)
	for i := range products {
		products[i] = s.product(stock)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var sweepers, customers sync.WaitGroup
	for _, one := range instances {
		sweepers.Go(func() { one.sweepOn(ctx) })
	}
	bought := make([]map[uuid.UUID]cart.Basket, buyers)
	for i := range bought {
		one, rng := instances[i%2], rand.New(rand.NewPCG(seed, uint64(i)))
		customers.Go(func() { bought[i] = one.shopAround(rng, fmt.Sprint("customer", i), products, calls) })
	}
	customers.Wait()
	taken, all := map[uuid.UUID]int64{}, 0
	for _, baskets := range bought {
		for id, b := range baskets {
			all++
			for _, l := range b.Lines {
				taken[l.ProductID] += l.Quantity
				if e := s.entries(l.ProductID)[id]; e.quantity < l.Quantity || e.until.Before(time.Now().Add(30*time.Minute)) {
					t.Errorf("the bought cart %s holds %+v of %s, want %d", id, e, l.ProductID, l.Quantity)
				}
			}
		}
	}
	testkit.Eventually(t, 2*time.Minute, func() error { return s.allSwept(products, taken) })
	stop()
	sweepers.Wait()
	if all == 0 {
		t.Error("nothing was bought: the race did not take place")
	}
	for _, p := range products {
		free, err := s.shelf.Available(t.Context(), []uuid.UUID{p})
		if err != nil || free[p] != stock-taken[p] {
			t.Errorf("%d units of %s are free, want %d: %v", free[p], p, stock-taken[p], err)
		}
	}
	t.Logf("%d carts were bought", all)
}

// sweepOn sweeps both sides until it is stopped, and lets a day pass for what has expired.
func (s *shop) sweepOn(ctx context.Context) {
	scripts := redisx.NewScripts(s.client, lua.Sources())
	scripts.Patience = 10 * time.Second
	holds := inventory.NewSweeper(s.client, scripts, s.keys, time.Second, s.env.Log)
	for ctx.Err() == nil {
		_, err1 := holds.Sweep(s.Context())
		err2 := s.carts.Sweep(s.Context())
		_, err3 := s.env.DB.Exec(s.Context(), `
UPDATE cart.carts SET first_line_at = first_line_at - interval '25 hours', expires_at = expires_at - interval '25 hours'
WHERE state = 'OPEN' AND expires_at < now() - interval '50 milliseconds'`)
		for _, err := range []error{err1, err2, err3} {
			if err != nil {
				s.Error(err)
				return
			}
		}
	}
}

// shopAround makes calls of one customer and gives what was bought.
func (s *shop) shopAround(rng *rand.Rand, customer string, products []uuid.UUID, calls int) map[uuid.UUID]cart.Basket {
	bought := map[uuid.UUID]cart.Basket{}
	for range calls {
		var err error
		switch p := products[rng.IntN(len(products))]; rng.IntN(8) {
		case 0:
			err = s.carts.Remove(s.Context(), customer, p)
		case 1: // it is left alone until it has expired
			testkit.Eventually(s.T, 20*time.Second, func() bool {
				v := s.get(customer)
				return v.ExpiresAt == nil || v.ExpiresAt.Before(time.Now())
			})
		case 2:
			var b cart.Basket
			if b, err = s.checkout(customer); err == nil {
				if err = s.buy(b); err == nil {
					bought[b.CartID] = b
				} else {
					s.giveUp(b) // as who makes orders does
				}
			}
		default:
			_, err = s.carts.Put(s.Context(), customer, p, 1+rng.Int64N(3))
		}
		if err != nil && !fault.Is(err, fault.CartEmpty) && !fault.Is(err, fault.CartChanged) && !fault.Is(err, fault.Conflict) {
			s.Errorf("%s: %v", customer, err)
		}
	}
	return bought
}

// allSwept says what is left, on either side, of the carts that were not bought.
func (s *shop) allSwept(products []uuid.UUID, taken map[uuid.UUID]int64) error {
	if n := s.count("carts WHERE state = 'OPEN' AND expires_at IS NOT NULL"); n > 0 {
		return fmt.Errorf("%d carts are open", n)
	}
	for _, p := range products {
		sum := int64(0)
		for _, e := range s.entries(p) {
			sum += e.quantity
		}
		reserved, err := s.env.Redis.Get(s.Context(), s.keys.Product(p)[1]).Int64()
		if err != nil || reserved != sum || sum != taken[p] {
			return fmt.Errorf("of %s %d units are held by %d, want %d: %w", p, reserved, sum, taken[p], err)
		}
	}
	return nil
}
