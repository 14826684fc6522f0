package reconcile_test

import (
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/reconcile"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// TestDrillMemoryDoesNotGrowWithTheCatalogue is not parallel: what others have in memory would be measured too.
func TestDrillMemoryDoesNotGrowWithTheCatalogue(t *testing.T) {
	const room = 2 << 20 // what two runs may differ by, whatever they compare
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	small, large := testkit.Size(4_000, 10_000), testkit.Size(16_000, 100_000)
	p := newPlace(t)
	p.catalogue(small)
	few := p.mostInMemory(small)
	p.catalogue(large - small)
	many := p.mostInMemory(large)
	t.Logf("%d products: %d kB, %d products: %d kB", small, few>>10, large, many>>10)
	if many > few+room {
		t.Errorf("a run over %d products has %d bytes in memory, one over %d has %d", small, few, large, many)
	}
}

// catalogue makes so many products that are on the shelf, one in ten with a hold.
func (p *place) catalogue(n int) {
	p.Helper()
	rows, err := p.env.DB.Query(p.Context(), `
		WITH made AS (
			INSERT INTO inventory.products (id, sku, name, unit_price_minor, currency)
			SELECT gen_random_uuid(), gen_random_uuid()::text, 'Tea', 250, 'GBP' FROM generate_series(1, $1::int) RETURNING id
		)
		INSERT INTO inventory.stock (product_id, available, allocated, changed_at) SELECT id, 10, 0, now() - interval '1 minute' FROM made
		RETURNING product_id`, n)
	if err != nil {
		p.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		p.Fatal(err)
	}
	p.exec(`
		WITH c AS (
			INSERT INTO cart.carts (id, customer, first_line_at, expires_at, changed_at)
			SELECT gen_random_uuid(), gen_random_uuid()::text, now() - interval '1 hour', $2, now() - interval '1 minute'
			FROM unnest($1::uuid[]) RETURNING id
		), numbered AS (SELECT id, row_number() OVER () AS n FROM c)
		INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held)
		SELECT id, ($1::uuid[])[n], 2, 250, 'GBP', true FROM numbered`, ids[:n/10], later)
	for some := range slices.Chunk(ids, 500) {
		if err := p.shelf.Load(p.Context(), some); err != nil {
			p.Fatal(err)
		}
	}
	p.full() // the copies of the carts
	p.exec(`ANALYZE`)
}

// mostInMemory makes a full run and gives the most bytes that were alive in the meantime.
func (p *place) mostInMemory(products int) (most uint64) {
	p.Helper()
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	ended := make(chan reconcile.Run)
	go func() {
		run, err := p.reconciler.Reconcile(p.Context(), reconcile.Full, false)
		if err != nil {
			p.Error(err)
		}
		ended <- run
	}()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case run := <-ended:
			if run.Drifted != 0 || run.Compared < 2*int64(products) {
				p.Errorf("compared %d, found %v", run.Compared, run.Differences)
			}
			return most
		case <-tick.C:
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64())
		}
	}
}
