package reconcile_test

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// What has changed since its page was read is not judged by it: a third of the holds end while a product with many of them is read, and yet the
// run finds nothing that differs.
func TestWhatEndsWhileAProductIsReadIsNoDifference(t *testing.T) {
	t.Parallel()
	const carts = 1200 // of which one page shows about 500
	p := newPlace(t)
	product := p.product(10_000)
	p.manyCarts(product, carts)
	p.full() // the copies of the carts
	p.agree()
	ids := keysOf(p.entries(product))
	torn := false
	here := *p
	here.before(lua.State, func(args []any) bool { return args[len(args)-1] != "0" }, func() { // the second page
		torn = true
		ended := []any{0, 0}
		for _, id := range ids[:400] {
			ended = append(ended, id)
		}
		p.exec(`UPDATE cart.lines SET held = false WHERE cart_id::text = ANY ($1)`, ids[:400])
		p.run(redisx.Call{Script: lua.Settle, Keys: p.keys.Product(product), Args: ended})
	})
	run := here.full()
	if !torn {
		t.Fatal("the holds came in one page")
	}
	p.want(run)
	if n := len(p.entries(product)); n != carts-400 {
		t.Errorf("%d holds, want %d", n, carts-400)
	}
}
