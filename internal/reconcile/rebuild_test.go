package reconcile_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A Redis with a whole catalogue and its holds turns out to be another one's, and then to be empty. How long it takes until a
// full comparison finds nothing, and how much memory, is logged; that every hold is back is checked. It is measured, so no other test of
// the package runs beside it.
func TestDrillRebuild(t *testing.T) {
	g := newGuarded(t)
	products, holds := testkit.Size(600, 100_000), testkit.Size(600, 50_000)
	g.exec(`INSERT INTO inventory.products (id, sku, name, unit_price_minor, currency)
		SELECT (lpad(to_hex(n), 8, '0') || '-0000-7000-8000-000000000000')::uuid, 'sku ' || n, 'Tea', 250, 'GBP' FROM generate_series(1, $1::int) n`, products)
	g.exec(`INSERT INTO inventory.stock (product_id, available, allocated, changed_at) SELECT id, 100, 0, now() - interval '1 hour' FROM inventory.products`)
	g.exec(`INSERT INTO cart.carts (id, customer, first_line_at, expires_at, changed_at)
		SELECT (lpad(to_hex(n), 8, '0') || '-1111-7000-8000-000000000000')::uuid, n, now(), date_trunc('milliseconds', now()) + interval '1 hour',
			now() - interval '1 minute' FROM generate_series(1, $1::int) n`, holds)
	g.exec(`INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
		SELECT (lpad(to_hex(n), 8, '0') || '-1111-7000-8000-000000000000')::uuid,
			(lpad(to_hex(1 + n % $2::int), 8, '0') || '-0000-7000-8000-000000000000')::uuid, 2, 250, 'GBP', true FROM generate_series(1, $1::int) n`, holds, products)
	g.look()
	g.loadAll()
	for _, loss := range []string{"another shop's", "empty"} {
		if loss == "empty" {
			g.delete()
		} else {
			words := g.told()
			words[0] = uuid.NewString()
			g.tell(words)
		}
		peak := heapPeak()
		began := time.Now()
		g.look()
		serving := time.Since(began)
		g.full()
		g.want(g.reconcile(reconcile.Full, true))
		right := time.Since(began)
		t.Logf("%s: %d products, %d holds: vouched for and refilled after %s, right by a full comparison after %s, heap at most %d MiB",
			loss, products, holds, serving, right, peak()>>20)
		if n := g.held(); n != int64(2*holds) {
			t.Errorf("%s: %d units are held, want %d", loss, n, 2*holds)
		}
	}
}

// loadAll puts the whole catalogue on the shelf.
func (g *guarded) loadAll() {
	g.Helper()
	rows, err := g.env.DB.Query(g.Context(), `SELECT product_id FROM inventory.stock`)
	if err != nil {
		g.Fatal(err)
	}
	var ids []uuid.UUID
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			g.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := rows.Err(); err != nil {
		g.Fatal(err)
	}
	for len(ids) > 0 {
		n := min(500, len(ids))
		if err := g.shelf.Load(g.Context(), ids[:n]); err != nil {
			g.Fatal(err)
		}
		ids = ids[n:]
	}
}

// scan hands out all keys of the place of one kind.
func (g *guarded) scan(kind string, do func(keys []string)) {
	g.Helper()
	for cursor := uint64(0); ; {
		keys, next, err := g.env.Redis.Scan(g.Context(), cursor, g.env.Namespace+":"+kind+"*", 1000).Result()
		if err != nil {
			g.Fatal(err)
		}
		do(keys)
		if cursor = next; cursor == 0 {
			return
		}
	}
}

func (g *guarded) delete() {
	g.scan("", func(keys []string) {
		if len(keys) > 0 {
			g.redis(append([]any{"UNLINK"}, anyOf(keys)...)...)
		}
	})
}

// held is the sum of what all products have reserved.
func (g *guarded) held() (sum int64) {
	seen := map[string]bool{}
	g.scan("reserved:", func(keys []string) {
		for _, key := range keys {
			if n, err := g.env.Redis.Get(g.Context(), key).Int64(); err == nil && !seen[key] && strings.Contains(key, "reserved") {
				sum, seen[key] = sum+n, true
			}
		}
	})
	return sum
}

func anyOf(words []string) []any {
	list := make([]any, len(words))
	for i, w := range words {
		list[i] = w
	}
	return list
}

// heapPeak looks at the heap until the answer is called, which gives the most that it was.
func heapPeak() func() uint64 {
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		var most uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapInuse)
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 { close(stop); return <-peak }
}
