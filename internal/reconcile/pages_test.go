package reconcile_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// nextPage runs do once, before the second page of a product's holds is read.
type nextPage struct {
	digest string
	do     func()
}

func (nextPage) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (nextPage) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (n nextPage) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		for _, cmd := range cmds {
			if args := cmd.Args(); len(args) > 1 && args[1] == n.digest && args[len(args)-1] != "0" {
				n.do()
			}
		}
		return next(ctx, cmds)
	}
}

// Pages of different moments are not put together: half of the holds end while a product with many of them is read, and yet the
// run finds nothing that differs.
func TestTornPagesAreReadAgain(t *testing.T) {
	t.Parallel()
	const carts = 1200 // of which one page shows about 500
	p := newPlace(t)
	product := p.product(10_000)
	p.exec(`
		INSERT INTO cart.carts (id, customer, first_line_at, expires_at, changed_at)
		SELECT gen_random_uuid(), 'c' || n, now() - interval '1 hour', $1, now() - interval '1 minute' FROM generate_series(1, $2::int) n`, later, carts)
	p.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
		SELECT id, $1, 2, 250, 'GBP', true FROM cart.carts`, product)
	for _, key := range p.keys.Product(product) {
		p.redis("DEL", key)
	}
	p.load(product)
	p.full() // the copies of the carts
	p.agree()
	ids := keysOf(p.entries(product))
	torn := false
	client, err := redisx.Open(p.env.RedisURL, redisx.Options{ReadTimeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	sum := sha1.Sum([]byte(lua.Sources()[lua.State]))
	client.AddHook(nextPage{digest: hex.EncodeToString(sum[:]), do: sync.OnceFunc(func() {
		torn = true
		ended := []any{0, 0}
		for _, id := range ids[:400] {
			ended = append(ended, id)
		}
		p.exec(`UPDATE cart.lines SET held = false WHERE cart_id::text = ANY ($1)`, ids[:400])
		p.run(redisx.Call{Script: lua.Settle, Keys: p.keys.Product(product), Args: ended})
	})})
	quick := redisx.NewScripts(client, lua.Sources())
	quick.Patience = 5 * time.Second
	here := *p
	here.scripts = quick
	here.reconciler = here.instance(0)
	run := here.full()
	if !torn {
		t.Fatal("the holds came in one page")
	}
	p.want(run)
	if n := len(p.entries(product)); n != carts-400 {
		t.Errorf("%d holds, want %d", n, carts-400)
	}
}
