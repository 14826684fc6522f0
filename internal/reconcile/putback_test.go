package reconcile_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
)

// putBack is by how much Postgres' clock is put back: what was written before lies so far in the future.
const putBack = 20 * time.Minute

// Postgres' clock is put back. The beat goes on, and of a Redis that then comes back with an older copy everything is forgotten: what was
// done between is not told by the time.
func TestTheBeatGoesOnWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	product := g.product(10)
	g.cart(map[uuid.UUID]int64{product: 3})
	g.look()
	before := g.told()
	g.putBack(putBack)
	g.look()
	if now := g.told(); now[0] != before[0] || now[1] == before[1] {
		t.Fatalf("told %v, and then %v", before, now)
	}

	g.old()
	g.redis("HSET", g.keys.Product(product)[0], "n", "999")
	g.putBack(putBack)
	words := g.told()
	words[3] = "another" // a process that knows what was said before
	g.tell(words)
	g.look()
	if now := g.told(); now[0] == before[0] {
		t.Error("only what seems young was forgotten")
	}
	if free := g.available(product); free != 7 {
		t.Errorf("%d units are free, want 7", free)
	}
}

// When Postgres' clock was put back all is compared once: what has changed since the last run is not told by the time.
func TestAllIsComparedWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	product := p.product(10)
	id := p.cart(map[uuid.UUID]int64{product: 3})
	p.full()
	p.exec(`UPDATE inventory.movements SET at = now() - interval '1 hour'`)
	p.exec(`UPDATE inventory.stock SET changed_at = now() - interval '1 hour'`)
	p.exec(`UPDATE cart.carts SET changed_at = now() - interval '1 hour'`)
	p.exec(`UPDATE shared.reconcile_mark SET mark = now() + $1::interval`, putBack)
	p.redis("HSET", p.keys.Product(product)[0], "n", "999")
	p.redis("DEL", p.keys.Cart(id))
	if run := p.reconcile(reconcile.Delta, false); !run.Everything || run.Repaired != 2 {
		t.Errorf("%+v", run)
	}
	p.agree()
}
