package reconcile_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestDeltaComparesWhatChangedSinceTheLastRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	still, moved := p.product(10), p.product(10)
	quiet := p.cart(map[uuid.UUID]int64{still: 1})
	if first := p.reconcile(reconcile.Delta, false); !first.Everything || first.Compared != 5 {
		t.Errorf("the first run after the start compared %d, everything: %v", first.Compared, first.Everything)
	}
	p.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour'`)
	p.exec(`UPDATE cart.carts SET changed_at = now() - interval '1 hour'`)
	p.redis("HSET", p.keys.Product(still)[0], "n", "1")
	p.redis("DEL", p.keys.Cart(quiet))
	p.redis("HSET", p.keys.Product(moved)[0], "n", "1")
	p.exec(`UPDATE inventory.movements SET at = clock_timestamp() WHERE product_id = $1`, moved)
	testkit.Eventually(t, 20*time.Second, func() bool { // until the cooldown is over
		return p.reconcile(reconcile.Delta, false).Repaired == 1
	})
	p.want(p.reconcile(reconcile.Delta, false))
	p.want(p.full(), "stock repaired", "cart repaired")
}

func TestDryRunChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		id := p.cart(map[uuid.UUID]int64{product: 3})
		p.full()
		p.redis("HSET", p.keys.Product(product)[0], "n", "1")
		p.release(id, product)
		p.redis("DEL", p.keys.Cart(id))
		p.redis("PEXPIREAT", p.keys.Product(product)[0], later.UnixMilli())
		p.redis("PEXPIREAT", p.keys.Product(product)[2], later.UnixMilli()+1)
		before, ends, was := p.everything(), p.ends(), p.mark()
		run := p.reconcile(reconcile.Full, true)
		p.want(run, "stock would_repair", "holds would_repair", "cart would_repair")
		if diff := cmp.Diff(before, p.everything()); diff != "" {
			t.Errorf("Redis was changed:\n%s", diff)
		}
		if diff := cmp.Diff(ends, p.ends()); diff != "" {
			t.Errorf("keys live shorter or longer:\n%s", diff)
		}
		if !p.mark().Equal(was) {
			t.Error("the mark was moved")
		}
		p.want(p.full(), "stock repaired", "holds repaired", "cart repaired")
	})
}

// ends is when each key that Redis has under the namespace ends, in ms; -1 never.
func (p *place) ends() map[string]time.Duration {
	p.Helper()
	ends := map[string]time.Duration{}
	for key := range p.everything() {
		at, err := p.env.Redis.PExpireTime(p.Context(), key).Result()
		if err != nil {
			p.Fatal(err)
		}
		ends[key] = at
	}
	return ends
}

func TestRunsAreStored(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	p.full()
	p.redis("HSET", p.keys.Product(product)[0], "n", "1")
	made := []reconcile.Run{p.reconcile(reconcile.Full, true), p.full(), p.reconcile(reconcile.Delta, false)}
	listed, err := p.reconciler.Runs(t.Context(), uuid.Nil, 3)
	if err != nil {
		t.Fatal(err)
	}
	newestFirst := []reconcile.Run{made[2], made[1], made[0]}
	if diff := cmp.Diff(newestFirst, listed); diff != "" {
		t.Errorf("runs (-made +listed):\n%s", diff)
	}
	next, err := p.reconciler.Runs(t.Context(), listed[2].ID, 3)
	if err != nil || len(next) != 1 {
		t.Errorf("%d runs before those, want the first: %v", len(next), err)
	}
}

func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	held, release := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		ended <- lease.New(p.env.DB, p.env.Log, "another", 0).Run(ctx, "reconcile", func(context.Context, lease.Term) error {
			close(held)
			<-release
			stop()
			return nil
		})
	}()
	<-held
	_, err := p.reconciler.Reconcile(t.Context(), reconcile.Delta, false)
	if !fault.Is(err, fault.Conflict) {
		t.Errorf("while another instance is at it: %v, want a conflict", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	p.agree()
}

func TestScheduleBringsBackWhatRedisLost(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.cart(map[uuid.UUID]int64{product: 3})
	p.goes(p.instance(200 * time.Millisecond))
	testkit.Eventually(t, 20*time.Second, func() bool {
		return p.env.Redis.Exists(t.Context(), p.env.Namespace+":epoch").Val() == 1
	})
	for key := range p.everything() {
		p.redis("DEL", key)
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		if p.env.Redis.Exists(t.Context(), p.keys.Cart(id)).Val() == 0 {
			return errors.New("the cart's copy is not back")
		}
		return nil
	})
}

func TestRunWithoutRedisSaysSo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	p.product(10)
	if err := p.client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.reconciler.Reconcile(t.Context(), reconcile.Full, false); err == nil {
		t.Error("no error")
	}
}

func TestScopeIsOneOfTwo(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	if _, err := p.reconciler.Reconcile(t.Context(), "some", false); !fault.Is(err, fault.InvalidRequest) {
		t.Errorf("error is %v", err)
	}
}

func TestDoubtHasEverythingComparedSoon(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	r := p.instance(time.Hour)
	p.goes(r)
	testkit.Eventually(t, 20*time.Second, func() bool {
		return p.env.Redis.Exists(t.Context(), p.env.Namespace+":epoch").Val() == 1
	})
	p.hold(idMade(earlier), product, 4, later)
	r.Doubt()
	testkit.Eventually(t, 2*time.Minute, func() bool { return p.available(product) == 10 })
}
