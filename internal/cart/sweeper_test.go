package cart_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestSweepKeepsTheLinesOfAnExpiredCartForADay(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(5)
	v := s.put("ann", tea, 2)
	other := s.put("bob", tea, 2)
	s.age(*v.ID, 23*time.Hour+59*time.Minute)
	s.sweep()
	if shown := s.get("ann"); len(shown.Items) != 1 || shown.Items[0].Held {
		t.Errorf("a day is not over, and the cart is shown as %+v", shown)
	}
	s.age(*v.ID, 20*time.Minute)
	s.sweep()
	if diff := cmp.Diff(cart.View{Items: []cart.Item{}}, s.get("ann")); diff != "" {
		t.Errorf("a day is over (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(other, s.get("bob")); diff != "" {
		t.Errorf("another's cart has changed (-before +after):\n%s", diff)
	}
	if copied := s.copyOf(*v.ID); copied != nil {
		t.Errorf("the closed cart's copy is %v", copied)
	}
	if next := s.put("ann", tea, 1); *next.ID == *v.ID {
		t.Error("a closed cart is used again")
	}
}

func TestSweepTidiesWhatWasBought(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(5)
	v := s.put("ann", tea, 2)
	basket, err := s.checkout("ann")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.buy(basket); err != nil {
		t.Fatal(err)
	}
	s.sweep()
	if got := s.count("lines"); got != 1 {
		t.Errorf("%d lines are left a moment after it was bought, want 1", got)
	}
	if copied := s.copyOf(*v.ID); copied != nil {
		t.Errorf("the bought cart's copy is %v", copied)
	}
	s.exec(`UPDATE cart.carts SET changed_at = changed_at - interval '2 minutes'`)
	s.sweep()
	if got := s.count("lines"); got != 0 {
		t.Errorf("%d lines are left, want none", got)
	}
	if got := s.count("carts"); got != 1 {
		t.Errorf("%d carts are left, want 1", got)
	}
	s.exec(`UPDATE cart.carts SET changed_at = changed_at - interval '1 day'`)
	s.sweep()
	if got := s.count("carts"); got != 0 {
		t.Errorf("%d carts are left, want none", got)
	}
	if diff := cmp.Diff(map[uuid.UUID]int64{*v.ID: 2}, s.onShelf(tea)); diff != "" {
		t.Errorf("the order's hold has changed (-want +got):\n%s", diff)
	}
}

// A cart that was emptied ends like one that expired. One that is filled just then is another cart with all that was put in.
func TestSweepEndsWhatWasEmptied(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(50)
	v := s.put("ann", tea, 2)
	s.put("ann", tea, 0)
	s.exec(`
INSERT INTO cart.carts (id, customer, changed_at)
SELECT gen_random_uuid(), 'c' || n, now() - interval '25 hours' FROM generate_series(1, 1200) n`) // more than a batch
	s.exec(`UPDATE cart.carts SET changed_at = now() - interval '23 hours' WHERE id = $1`, *v.ID)
	s.sweep()
	if got := s.count("carts WHERE state = 'OPEN'"); got != 1 {
		t.Errorf("%d open carts are left, want the one whose day is not over", got)
	}
	s.exec(`UPDATE cart.carts SET changed_at = now() - interval '25 hours' WHERE id = $1`, *v.ID)
	s.sweep()
	next := s.put("ann", tea, 3)
	if *next.ID == *v.ID || s.onShelf(tea)[*next.ID] != 3 {
		t.Errorf("the cart after is %+v, and the shelf has %v", next, s.onShelf(tea))
	}
	s.exec(`UPDATE cart.carts SET changed_at = now() - interval '25 hours' WHERE state = 'DROPPED'`)
	s.sweep() // their lines, had they any
	s.sweep()
	if got := s.count("carts"); got != 1 {
		t.Errorf("%d carts are left, want the new one", got)
	}
}

func TestSweepersOfSeveralInstancesSweepMoreThanABatch(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	s.exec(`
INSERT INTO cart.carts (id, customer, first_line_at, expires_at)
SELECT gen_random_uuid(), 'c' || n, now() - interval '26 hours', now() - interval '25 hours' FROM generate_series(1, 1200) n`)
	s.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
SELECT id, gen_random_uuid(), 1, 1, 'GBP', true FROM cart.carts`)
	other := s.instance()
	done := make(chan error, 2)
	for _, one := range []*shop{s, other} {
		go func() { done <- one.carts.Sweep(t.Context()) }()
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	s.sweep() // what one had locked while the other looked
	if got := s.count("lines"); got != 0 {
		t.Errorf("%d lines are left", got)
	}
	var open int
	if err := s.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM cart.carts WHERE state = 'OPEN' OR tidied = 0`).Scan(&open); err != nil || open != 0 {
		t.Errorf("%d carts are left to sweep, error %v", open, err)
	}
}

func TestTheSweeperRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s := newShop(t, usual)
	tea := s.product(5)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- cart.NewSweeper(s.carts, 50*time.Millisecond).Run(ctx) }()
	v := s.put("ann", tea, 2)
	s.age(*v.ID, 25*time.Hour)
	testkit.Eventually(t, 2*time.Minute, func() bool { return len(s.get("ann").Items) == 0 })
	bought := s.put("bob", tea, 1)
	basket, err := s.checkout("bob")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.buy(basket); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, 2*time.Minute, func() bool { return s.copyOf(*bought.ID) == nil })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func (s *shop) sweep() {
	s.Helper()
	if err := s.carts.Sweep(s.Context()); err != nil {
		s.Fatal(err)
	}
}

func (s *shop) count(table string) (n int) {
	s.Helper()
	if err := s.env.DB.QueryRow(s.Context(), fmt.Sprintf("SELECT count(*) FROM cart.%s", table)).Scan(&n); err != nil {
		s.Fatal(err)
	}
	return n
}

// copyOf reads a cart's copy from Redis itself; nil for one that is not there or was dropped.
func (s *shop) copyOf(cartID uuid.UUID) map[string]string {
	s.Helper()
	all, err := s.env.Redis.HGetAll(s.Context(), s.keys.Cart(cartID)).Result()
	if err != nil {
		s.Fatal(err)
	}
	if len(all) == 0 || all["gone"] != "" {
		return nil
	}
	return all
}
