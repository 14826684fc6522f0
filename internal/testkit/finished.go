package testkit

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// made makes orders of strategy optimistic, a second apart, of which every outcome is one in five: complete twice, declined, cancelled
// when it was complete, out of stock. The facts of which they tell are long gone.
func made(first, last int, from time.Time) string {
	id := func(part string) string {
		return `(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || '7000` + part + `' || lpad(to_hex(i), 12, '0'))::uuid`
	}
	return fmt.Sprintf(`
		CREATE TEMP TABLE made ON COMMIT DROP AS
		SELECT i, i %% 5 AS kind, 'customer-' || i %% 1000 AS customer, moment AS at, moment + interval '2 s' AS ended,
			%s AS id, %s AS created, %s AS fact
		FROM (SELECT i, timestamptz '%s' + i * interval '1 s' AS moment FROM generate_series(%d::bigint, %d) i) s`,
		id("8000"), id("9000"), id("a000"), from.UTC().Format(time.RFC3339), first, last)
}

// linesOf gives each order two lines, of products in turn.
func linesOf(products int) string {
	return fmt.Sprintf(`
		CREATE TEMP TABLE line ON COMMIT DROP AS
		SELECT m.id, m.i, m.kind, m.created, m.fact, m.at, p.id AS product, p.sku, p.name, p.unit_price_minor, 1 + (m.i + n) %% 3 AS quantity
		FROM made m CROSS JOIN generate_series(0, 1) n
		JOIN (SELECT *, row_number() OVER (ORDER BY sku) - 1 AS nth FROM inventory.products WHERE sku LIKE 'finished-%%') p ON p.nth = (m.i + n) %% %d`, products)
}

// finishedRows write the rows of what was made.
var finishedRows = []string{
	`INSERT INTO orders.orders (id, customer, strategy, status, payment_status, inventory_status, failure_reason, total_minor, currency, payment_method,
		version, last_fact, deadline, created_at, ended_at)
	SELECT m.id, customer, 'optimistic', (ARRAY['COMPLETED', 'COMPLETED', 'FAILED', 'CANCELLED', 'FAILED'])[kind + 1],
		(ARRAY['SUCCESS', 'SUCCESS', 'DECLINED', 'REFUNDED', 'NOT_STARTED'])[kind + 1],
		(ARRAY['RESERVED', 'RESERVED', 'RELEASED', 'RELEASED', 'OUT_OF_STOCK'])[kind + 1],
		(ARRAY[NULL, NULL, 'PAYMENT_FAILED', NULL, 'OUT_OF_STOCK'])[kind + 1], l.total, 'GBP', 'pm_ok', 3, fact, at + interval '15 min', at, ended
	FROM made m JOIN (SELECT id, sum(quantity * unit_price_minor) AS total FROM line GROUP BY id) l USING (id)`,
	`INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor) SELECT id, product, sku, name, quantity, unit_price_minor FROM line`,
	`INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status, failure_reason, lines, total_minor,
		currency, last_fact, created_at, ended_at)
	SELECT o.id, o.customer, o.strategy, o.version, o.status, o.payment_status, o.inventory_status,
		(ARRAY['COMPLETED', 'COMPLETED', 'FAILED_PAYMENT', 'CANCELLED', 'FAILED_OUT_OF_STOCK'])[m.kind + 1], o.failure_reason, l.lines, o.total_minor,
		o.currency, o.last_fact, o.created_at, o.ended_at
	FROM made m JOIN orders.orders o USING (id) JOIN (SELECT id, jsonb_agg(jsonb_build_object('product_id', product, 'sku', sku, 'name', name,
		'quantity', quantity, 'unit_price_minor', unit_price_minor)) AS lines FROM line GROUP BY id) l USING (id)`,
	`INSERT INTO inventory.reservations (order_id, state, decided_by, released_by, decided_at, released_at)
	SELECT id, (ARRAY['RESERVED', 'RESERVED', 'RELEASED', 'RELEASED', 'OUT_OF_STOCK'])[kind + 1], created, CASE WHEN kind IN (2, 3) THEN fact END, at,
		CASE WHEN kind IN (2, 3) THEN ended END FROM made`,
	`INSERT INTO inventory.reservation_lines (order_id, product_id, quantity) SELECT id, product, quantity FROM line WHERE kind <> 4`,
	`INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, at)
	SELECT product, id, kind, quantity, s.available + sum(quantity) OVER (PARTITION BY product ORDER BY i, back), order_id, fact, at
	FROM (SELECT product, id AS order_id, i, false AS back, overlay(id::text placing 'b0' from 20 for 2)::uuid AS id, 'reserve' AS kind, -quantity AS quantity, created AS fact, at
	      FROM line WHERE kind <> 4
	      UNION ALL SELECT product, id, i, true, overlay(id::text placing 'b1' from 20 for 2)::uuid, 'release', quantity, fact, at + interval '1 s' FROM line WHERE kind IN (2, 3)) e
	JOIN inventory.stock s ON s.product_id = e.product`,
	`UPDATE inventory.stock s SET available = available - l.units, allocated = allocated + l.units, version = version + 1
	FROM (SELECT product, sum(quantity) AS units FROM line WHERE kind IN (0, 1) GROUP BY product) l WHERE l.product = s.product_id`,
	`INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key, charge_id, refund_id, reason,
		cause, undo_cause, attempted_at, refund_attempted_at, tries, claim, created_at, changed_at, provider, account)
	SELECT o.id, o.payment_status, o.strategy, o.total_minor, o.currency, o.payment_method, 'charge-' || o.id, 'refund-' || o.id,
		CASE WHEN m.kind IN (0, 1, 3) THEN 'ch_' || m.i END, CASE m.kind WHEN 3 THEN 're_' || m.i END, CASE m.kind WHEN 2 THEN 'card_declined' ELSE '' END,
		m.created, CASE m.kind WHEN 3 THEN m.fact END, m.at, CASE m.kind WHEN 3 THEN m.ended END, 1, 1, m.at, m.ended, 'sandbox', 'finished'
	FROM made m JOIN orders.orders o USING (id) WHERE m.kind <> 4`,
	`INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at, provider, account)
	SELECT 'ch_' || m.i, m.id, 'charge', 'customer', 'provider', o.total_minor, o.currency, m.created, m.at, 'sandbox', 'finished' FROM made m JOIN orders.orders o USING (id) WHERE m.kind IN (0, 1, 3)`,
	`INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at, provider, account)
	SELECT 're_' || m.i, m.id, 'refund', 'provider', 'refunds', o.total_minor, o.currency, m.fact, m.ended, 'sandbox', 'finished' FROM made m JOIN orders.orders o USING (id) WHERE m.kind = 3`,
}

// finishedStep is how many orders a transaction makes.
const finishedStep = 50_000

// Finished makes n orders of many products that ended in every way, a second apart from a moment on, and that are whole in every
// invariant.
func Finished(t testing.TB, db *postgres.DB, n, products int, from time.Time) {
	t.Helper()
	finish(t, db, `
		WITH p AS (INSERT INTO inventory.products (id, sku, name, unit_price_minor, currency)
			SELECT gen_random_uuid(), 'finished-' || lpad(i::text, 7, '0'), 'thing ' || i, 100 + i % 50, 'GBP' FROM generate_series(1, $1::int) i
			ON CONFLICT DO NOTHING RETURNING id),
		s AS (INSERT INTO inventory.stock (product_id, available, allocated) SELECT id, 1000000000, 0 FROM p RETURNING product_id)
		INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, fact_id, at)
		SELECT product_id, product_id, 'opening', 1000000000, 1000000000, product_id, $2 FROM s`, products, from)
	var before int
	if err := db.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM orders.orders) + (SELECT count(*) FROM orders.archived)`).Scan(&before); err != nil {
		t.Fatal(err)
	}
	for lo := before + 1; lo <= before+n; lo += finishedStep {
		err := db.InTx(t.Context(), func(tx pgx.Tx) error {
			for _, sql := range append([]string{`SET LOCAL statement_timeout = 0`, made(lo, min(lo+finishedStep-1, before+n), from), linesOf(products)}, finishedRows...) {
				if _, err := tx.Exec(t.Context(), sql); err != nil {
					return fmt.Errorf("%s: %w", sql, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func finish(t testing.TB, db *postgres.DB, sql string, args ...any) {
	t.Helper()
	if _, err := db.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}
