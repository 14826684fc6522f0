package reconcile_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
	"github.com/holdfast-checkout/holdfast/lua"
)

// between runs do once, after the reconciler has compared and before it runs that script.
func (p *place) between(script string, do func()) {
	p.Helper()
	p.before(script, func([]any) bool { return true }, do)
}

// before has the reconciler's clients run do once, before they send that script with arguments like that.
func (p *place) before(script string, like func(args []any) bool, do func()) {
	p.Helper()
	client, err := redisx.Open(p.env.RedisURL, redisx.Options{ReadTimeout: 5 * time.Second})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = client.Close() })
	sum := sha1.Sum([]byte(lua.Sources()[script]))
	client.AddHook(meddler{digest: hex.EncodeToString(sum[:]), like: like, do: sync.OnceFunc(do)})
	p.scripts = redisx.NewScripts(client, lua.Sources())
	p.scripts.Patience = 5 * time.Second
	p.reconciler = p.instance(0)
}

type meddler struct {
	digest string
	like   func(args []any) bool
	do     func()
}

func (meddler) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (meddler) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (m meddler) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if args := cmd.Args(); len(args) > 1 && args[1] == m.digest && m.like(args) {
				m.do()
			}
		}
		return next(ctx, cmds)
	}
}

func TestWhatChangesMeanwhileIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		p.redis("HSET", p.keys.Product(product)[0], "n", "1")
		p.between(lua.Repair, func() { p.hold(uuid.Must(uuid.NewV7()), product, 1, later) })
		p.want(p.full(), "stock left")
		if n := p.hash(p.keys.Product(product)[0])["n"]; n != "1" {
			t.Errorf("stock is %s", n)
		}
		run := p.full()
		if run.Repaired != 2 { // the stock, and the hold of nobody
			t.Errorf("next run: %+v", run)
		}
	})
}

// What a scheduled run left is looked at again soon, and not when a row changes that leads to it, nor an interval later.
func TestWhatWasLeftIsSoonSetRight(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	p.full()
	p.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour'`)
	p.exec(`UPDATE inventory.stock SET changed_at = now() - interval '1 hour'`)
	p.redis("HSET", p.keys.Product(product)[0], "n", "1")
	held := make(chan struct{})
	p.between(lua.Repair, func() { p.hold(uuid.Must(uuid.NewV7()), product, 1, later); close(held) })
	p.goes(p.reconciler)
	<-held
	testkit.Eventually(t, 20*time.Second, func() error {
		if n := p.hash(p.keys.Product(product)[0])["n"]; n != "10" {
			return fmt.Errorf("stock is %s", n)
		}
		return nil
	})
}

// An attempt to buy that failed half way has left a hold, and another attempt under the same id takes it again while it is compared, and
// fails as well: it can only be judged by a later run, to which nothing else leads.
func TestAHoldOfNobodyThatIsTakenAgainMeanwhileIsSoonGivenBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product, nobody := p.product(10), uuid.New()
	p.hold(nobody, product, 1, later)
	p.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour'`)
	p.exec(`UPDATE inventory.stock SET changed_at = now() - interval '1 hour'`)
	p.goes(p.reconciler)
	for n, until := 0, later; n == 0; { // until the first run is over
		until = until.Add(time.Millisecond)
		p.hold(nobody, product, 1, until)
		if err := p.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM shared.reconciliations WHERE ended_at IS NOT NULL`).Scan(&n); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(p.entries(product)); n != 1 {
		t.Fatalf("%d holds are left by a run that could not judge them", n)
	}
	testkit.Eventually(t, 20*time.Second, func() error {
		if held := p.entries(product); len(held) > 0 {
			return fmt.Errorf("held: %v", held)
		}
		return nil
	})
}

func TestCartThatChangesMeanwhileIsLeft(t *testing.T) {
	onEach(t, func(t *testing.T, p *place) {
		product := p.product(10)
		id := p.cart(map[uuid.UUID]int64{product: 3})
		p.redis("HSET", p.keys.Cart(id), product.String(), "9")
		p.between(lua.CartRepair, func() {
			p.run(redisx.Call{Script: lua.CartPut, Keys: []string{p.keys.Cart(id)}, Args: []any{"lines", 4, later.UnixMilli(), product.String(), 5}})
		})
		p.want(p.full(), "cart left")
		if got := p.hash(p.keys.Cart(id))[product.String()]; got != "5" {
			t.Errorf("the copy says %s", got)
		}
	})
}
