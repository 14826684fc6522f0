package cart_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// atOnce is how soon a call has to be answered while Redis is away.
const atOnce = 500 * time.Millisecond

// TestWithoutRedis kills Redis, then freezes it: carts are shown and can be bought and emptied, nothing new is held, and
// every answer comes at once. When it is back, the shelf has no less than the rows say.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	servers := testkit.Private(t)
	s := newShopOn(t, testkit.NewOn(t, servers), usual)
	for name, outage := range map[string]struct {
		away func()
		back func() error
	}{
		"killed": {servers.Redis().Kill, func() error { return servers.Redis().Start(t.Context()) }},
		"frozen": {servers.Redis().Pause, func() error { servers.Redis().Resume(); return nil }},
	} {
		tea, cup, pot := s.product(10), s.product(10), s.product(10)
		ann, bob, eve := name+" ann", name+" bob", name+" eve"
		before := s.put(ann, tea, 3)
		s.put(bob, tea, 2)
		s.put(bob, pot, 2)
		expired := s.put(eve, pot, 1)
		s.age(*expired.ID, time.Hour)
		outage.away()
		s.withoutRedis(name, ann, bob, eve, tea, cup)
		if err := outage.back(); err != nil {
			t.Fatal(err)
		}
		testkit.Eventually(t, 10*time.Second, func() error { return s.env.Redis.Ping(t.Context()).Err() })
		after := s.put(ann, cup, 1)
		if *after.ID != *before.ID {
			t.Errorf("%s: the cart is %s, it was %s", name, *after.ID, *before.ID)
		}
		if diff := cmp.Diff(s.rows(cup), s.onShelf(cup)); diff != "" {
			t.Errorf("%s: rows and shelf differ (-rows +shelf):\n%s", name, diff)
		}
		// What was given up while nobody could take it off the shelf is left there for the reconciler or its expiry.
		if rows, shelf := s.rows(tea)[*before.ID], s.onShelf(tea)[*before.ID]; rows != 2 || shelf < rows {
			t.Errorf("%s: the row says %d and the shelf has %d, want 2 and no less", name, rows, shelf)
		}
	}
}

func (s *shop) withoutRedis(name, ann, bob, eve string, tea, cup uuid.UUID) {
	s.Helper()
	timed := func(what string, call func() error) error {
		s.Helper()
		began := time.Now()
		err := call()
		if took := time.Since(began); took > atOnce {
			s.Errorf("%s: %s took %s", name, what, took)
		}
		return err
	}
	put := func(customer string, p uuid.UUID, quantity int64) func() error {
		return func() error { _, err := s.carts.Put(s.Context(), customer, p, quantity); return err }
	}
	wantKind(s.T, timed("a new line", put(ann, cup, 1)), fault.Unavailable)
	wantKind(s.T, timed("more of a line", put(ann, tea, 4)), fault.Unavailable)
	wantKind(s.T, timed("a first line", put(uuid.NewString(), tea, 1)), fault.Unavailable)
	err := timed("to show a cart", func() error {
		v, err := s.carts.Get(s.Context(), ann)
		if err == nil && (len(v.Items) != 1 || v.Items[0].Quantity != 3 || !v.Items[0].Held) {
			s.Errorf("%s: the cart is shown as %+v", name, v)
		}
		return err
	})
	if err != nil {
		s.Errorf("%s: show a cart: %v", name, err)
	}
	if err := timed("less of a line", put(ann, tea, 2)); err != nil {
		s.Errorf("%s: less of a line: %v", name, err)
	}
	if err := timed("to remove a line", func() error { return s.carts.Remove(s.Context(), bob, tea) }); err != nil {
		s.Errorf("%s: remove a line: %v", name, err)
	}
	err = timed("to buy a live cart", func() error {
		basket, err := s.checkout(bob)
		if err == nil {
			err = s.buy(basket)
		}
		return err
	})
	if err != nil {
		s.Errorf("%s: buy a live cart: %v", name, err)
	}
	wantKind(s.T, timed("to buy an expired cart", func() error { _, err := s.checkout(eve); return err }), fault.Unavailable)
}
