package order_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// A hold may be left behind when the call that takes it fails half way, and never when it was not even sent.
func TestHoldingThatFailsIsDoubtedUnlessNothingWasSent(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	broken := errors.New("broken")
	for failed, want := range map[error]int{broken: 1, fmt.Errorf("%w: %w", order.ErrNothingHeld, broken): 0} {
		s := newService(t, env, shop{holding: failed}, time.Hour)
		doubts := 0
		s.Doubt = func() { doubts++ }
		if _, _, err := s.Place(t.Context(), purchase("k", 1)); !errors.Is(err, broken) || doubts != want {
			t.Errorf("after %v: %d doubts, want %d: %v", failed, doubts, want, err)
		}
	}
}

// late comes to the lock long after it has looked up the key.
type late struct {
	order.Locks
	meanwhile func()
}

func (l late) Lock(ctx context.Context, customer, key string) (func(), bool, error) {
	l.meanwhile()
	return l.Locks.Lock(ctx, customer, key)
}

// A request that looked up its key before its twin's order was there, and comes to the lock when that order may have been taken from
// stock already, must not hold its units once more: nobody would give them back.
func TestALateTwinHoldsNothing(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	client, err := redisx.Open(env.RedisURL, redisx.Options{ReadTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	locks := redisx.NewLocks(client, redisx.NewScripts(client, lua.Sources()), redisx.Keys{Namespace: env.Namespace})
	locks.Patience = 10 * time.Second // a busy machine is no outage
	var made uuid.UUID
	doubts, holds := 0, 0
	for what, c := range map[string]struct {
		locks order.Locks
		want  int // holds and doubts
	}{"with the lock": {locks, 0}, "where nobody can say": {shop{}, 1}} {
		counting := shop{held: &holds}
		first := order.New(env.DB, order.Ports{Catalogue: shop{}, Carts: shop{}, Holds: shop{}, Locks: c.locks, Strategies: shop{}}, limits, env.Log)
		second := order.New(env.DB, order.Ports{
			Catalogue: shop{}, Carts: shop{}, Holds: counting, Strategies: shop{},
			Locks: late{c.locks, func() { made = place(t, first, what) }},
		}, limits, env.Log)
		doubts, holds = 0, 0
		second.Doubt = func() { doubts++ }
		id, replayed, err := second.Place(t.Context(), purchase(what, 2))
		if err != nil || !replayed || id != made {
			t.Errorf("%s: %s, %v, %v, want the order %s that its twin made", what, id, replayed, err, made)
		}
		if holds != c.want || doubts != c.want {
			t.Errorf("%s: held %d times, doubted %d times", what, holds, doubts)
		}
	}
}
