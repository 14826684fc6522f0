package cart_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// atOnce is how soon a call has to be refused while Redis is away. On a machine that is busy with other tests, one try of
// several has to show it.
const (
	atOnce  = 500 * time.Millisecond
	chances = 5
)

// TestWithoutRedis kills Redis, then freezes it: carts are shown and can be bought and emptied, nothing new is held, and
// every answer comes at once. When it is back, the shelf has no less than the rows say.
func TestWithoutRedis(t *testing.T) {
	t.Parallel()
	env, servers := testkit.PrivateRedis(t)
	s := newShopWith(t, env, usual, redisx.Options{})
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
		testkit.Eventually(t, 20*time.Second, func() error { return s.env.Redis.Ping(t.Context()).Err() })
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
	s.refusedAtOnce(name+": a new line", func() error { _, err := s.carts.Put(s.Context(), ann, cup, 1); return err })
	s.refusedAtOnce(name+": more of a line", func() error { _, err := s.carts.Put(s.Context(), ann, tea, 4); return err })
	s.refusedAtOnce(name+": a first line", func() error { _, err := s.carts.Put(s.Context(), name+" joe", tea, 1); return err })
	s.refusedAtOnce(name+": to buy an expired cart", func() error { _, err := s.checkout(eve); return err })
	if v := s.get(ann); len(v.Items) != 1 || v.Items[0].Quantity != 3 || !v.Items[0].Held {
		s.Errorf("%s: the cart is shown as %+v", name, v)
	}
	if v := s.put(ann, tea, 2); v.Items[0].Quantity != 2 {
		s.Errorf("%s: the cart is shown as %+v after less of a line", name, v)
	}
	if err := s.carts.Remove(s.Context(), bob, tea); err != nil {
		s.Errorf("%s: remove a line: %v", name, err)
	}
	basket, err := s.checkout(bob)
	if err == nil {
		err = s.buy(basket)
	}
	if err != nil || len(basket.Lines) != 1 {
		s.Errorf("%s: buy the rest of a live cart: %+v, %v", name, basket, err)
	}
}

// refusedAtOnce makes a call that cannot be done without Redis.
func (s *shop) refusedAtOnce(what string, call func() error) {
	s.Helper()
	fastest := time.Hour
	for range chances {
		began := time.Now()
		wantKind(s.T, call(), fault.Unavailable)
		if fastest = min(fastest, time.Since(began)); fastest <= atOnce {
			return
		}
	}
	s.Errorf("%s is refused after %s at the earliest", what, fastest)
}
