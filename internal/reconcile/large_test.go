package reconcile_test

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// busy has units of a product held and given back all the time, by nobody that there are rows of.
func (p *place) busy(product uuid.UUID) (rest func()) {
	ctx, cancel := context.WithCancel(p.Context())
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for ctx.Err() == nil {
				id, keys := uuid.NewString(), p.keys.Product(product)
				_, _ = p.scripts.Run(p.Context(), []redisx.Call{
					{Script: lua.Hold, Keys: keys, Args: []any{id, 1, later.UnixMilli()}},
					{Script: lua.Release, Keys: keys, Args: []any{id}},
				})
			}
		})
	}
	return func() { cancel(); all.Wait() }
}

// A product with many holds of which some change between any two commands is compared and set right all the same: a hold of another
// quantity, one that is lost, one of nobody, one that ends at another time than it is said to, and the sums.
func TestAProductThatNeverRestsIsSetRight(t *testing.T) {
	t.Parallel()
	const carts = 2000
	p := newPlace(t)
	product := p.product(10_000)
	p.manyCarts(product, carts)
	p.full() // the copies of the carts
	keys, before := p.keys.Product(product), p.entries(product)
	ids := keysOf(before)
	p.redis("HSET", keys[2], ids[1], entryText(5, later))
	p.release(uuid.MustParse(ids[2]), product)
	p.hold(uuid.Must(uuid.NewV7()), product, 4, later)
	p.redis("ZADD", keys[3], later.UnixMilli()+7, ids[3])
	p.redis("INCRBY", keys[1], 11)
	p.redis("HINCRBY", keys[0], "m", 3)
	rest := p.busy(product)
	run := p.full()
	again := p.full() // what had changed when it was to be set right
	rest()
	if run.Repaired < 2 {
		t.Errorf("%+v, then %+v", run, again)
	}
	after := p.entries(product)
	for _, id := range ids {
		if after[id] != before[id] {
			t.Errorf("%s: %q, want %q", id, after[id], before[id])
		}
		delete(after, id)
	}
	if len(after) > 0 {
		t.Errorf("held by nobody: %v", after)
	}
	for field, want := range map[string]string{"m": "0", "n": "10000"} {
		if got := p.hash(keys[0])[field]; got != want {
			t.Errorf("%s is %s, want %s", field, got, want)
		}
	}
	if got := p.env.Redis.Get(t.Context(), keys[1]).Val(); got != strconv.Itoa(2*carts) {
		t.Errorf("the sum is %s, want %d", got, 2*carts)
	}
	if got := p.env.Redis.ZScore(t.Context(), keys[3], ids[3]).Val(); got != float64(later.UnixMilli()) {
		t.Errorf("it ends at %.0f, want %d", got, later.UnixMilli())
	}
}
