package reconcile_test

import (
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
)

func TestCartCopyIsSetRight(t *testing.T) {
	wrongs := map[string]func(p *place, key, product string){
		"it is lost":            func(p *place, key, _ string) { p.redis("DEL", key) },
		"another quantity":      func(p *place, key, product string) { p.redis("HSET", key, product, "9") },
		"a line is lost":        func(p *place, key, product string) { p.redis("HDEL", key, product) },
		"a line of nothing":     func(p *place, key, _ string) { p.redis("HSET", key, uuid.NewString(), "1") },
		"an older turn":         func(p *place, key, _ string) { p.redis("HSET", key, "version", "2") },
		"a newer turn":          func(p *place, key, _ string) { p.redis("HSET", key, "version", "4") },
		"a turn that is none":   func(p *place, key, _ string) { p.redis("HSET", key, "version", "x") },
		"another expiry":        func(p *place, key, _ string) { p.redis("HSET", key, "expires", "5") },
		"it is no hash":         func(p *place, key, _ string) { p.redis("DEL", key); p.redis("SET", key, "x") },
		"it is said to be gone": func(p *place, key, _ string) { p.redis("HSET", key, "gone", "1") },
	}
	onEach(t, func(_ *testing.T, p *place) {
		cases(p, wrongs, func(p *place, _ string, spoil func(p *place, key, product string)) {
			product := p.product(10)
			id := p.cart(map[uuid.UUID]int64{product: 3})
			p.agree()
			spoil(p, p.keys.Cart(id), product.String())
			p.want(p.reconcile(reconcile.Full, true), "cart would_repair")
			p.want(p.full(), "cart repaired")
			p.agree()
			want := map[string]string{"version": "3", "expires": strconv.FormatInt(later.UnixMilli(), 10), product.String(): "3"}
			if diff := cmp.Diff(want, p.hash(p.keys.Cart(id))); diff != "" {
				p.Errorf("copy (-want +got):\n%s", diff)
			}
		})
	})
}

func TestCopyOfAClosedCartIsDropped(t *testing.T) {
	ways := map[string]string{
		"bought":  `UPDATE cart.carts SET state = 'BOUGHT', order_id = gen_random_uuid() WHERE id = $1`,
		"emptied": `WITH l AS (DELETE FROM cart.lines WHERE cart_id = $1) UPDATE cart.carts SET first_line_at = NULL, expires_at = NULL WHERE id = $1`,
		"gone":    `WITH l AS (DELETE FROM cart.lines WHERE cart_id = $1) DELETE FROM cart.carts WHERE id = $1`,
	}
	onEach(t, func(_ *testing.T, p *place) {
		cases(p, ways, func(p *place, name, closed string) {
			id := p.cart(nil)
			if name == "gone" { // an id of just now could be of a cart that is being made
				old := idMade(earlier)
				p.redis("RESTORE", p.keys.Cart(old), 0, p.env.Redis.Dump(p.Context(), p.keys.Cart(id)).Val())
				p.redis("DEL", p.keys.Cart(id))
				p.exec(`UPDATE cart.carts SET id = $2 WHERE id = $1`, id, old)
				id = old
			}
			p.exec(closed, id)
			p.want(p.full(), "cart repaired")
			if n := p.env.Redis.Exists(p.Context(), p.keys.Cart(id)).Val(); n != 0 {
				p.Error("the copy is still there")
			}
		})
	})
}

func TestCopyOfAnExpiredCartIsNotBroughtBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.cartRows(earlier, map[uuid.UUID]int64{product: 3})
	p.agree()
	if n := p.env.Redis.Exists(t.Context(), p.keys.Cart(id)).Val(); n != 0 {
		t.Error("a copy was made")
	}
}

func TestCartThatWasJustChangedIsLeft(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.cart(map[uuid.UUID]int64{product: 3})
	p.exec(`UPDATE cart.carts SET turn = 4, changed_at = now() + interval '1 hour' WHERE id = $1`, id)
	p.agree()
}
