package archive_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(runChild())
	}
	testkit.Main(m)
}

const (
	old   = 60 // orders that ended long ago, in two months
	young = 10
	age   = 90 * 24 * time.Hour
)

// books are a database with finished orders.
type books struct {
	*testing.T
	env *testkit.Env
	db  *postgres.DB
}

func newBooks(t *testing.T) *books {
	t.Helper()
	env := testkit.New(t)
	b := &books{T: t, env: env, db: env.DB}
	month := time.Now().UTC().AddDate(0, -5, 0)
	month = time.Date(month.Year(), month.Month(), 1, 0, 0, 0, 0, time.UTC)
	testkit.Finished(t, b.db, old, 7, month.Add(-old/2*time.Second)) // half of them end before midnight
	testkit.Finished(t, b.db, young, 7, time.Now().Add(-time.Hour))
	return b
}

func (b *books) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.db.Exec(b.Context(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

func (b *books) count(sql string, args ...any) (n int64) {
	b.Helper()
	if err := b.db.QueryRow(b.Context(), sql, args...).Scan(&n); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (b *books) run(o archive.Options) archive.Result {
	b.Helper()
	o.OlderThan, o.Log = age, b.env.Log
	result, err := archive.Run(b.Context(), b.db, o)
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// own are all tables in which an order has rows.
var own = []string{
	"orders.orders", "orders.lines", "orders.view", "inventory.reservations", "inventory.reservation_lines", "inventory.movements",
	"payment.payments", "payment.transfers", "payment.attempts", "payment.acts",
}

// kept are the tables of what is kept of archived orders.
var kept = []string{"archive.orders", "archive.months", "orders.archived", "payment.archived", "inventory.carried"}

// state is every row of some tables, in words.
func (b *books) state(tables ...string) map[string][]string {
	b.Helper()
	all := map[string][]string{}
	for _, table := range tables {
		rows, err := b.db.Query(b.Context(), `SELECT (to_jsonb(t) - 'last_at')::text FROM `+table+` t ORDER BY 1`)
		if err != nil {
			b.Fatal(err)
		}
		if all[table], err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			b.Fatal(err)
		}
	}
	return all
}

// whole wants each order to be in one place, and what products carry to make up for what went.
func (b *books) whole() {
	b.Helper()
	for what, n := range map[string]int64{
		"orders in two places or none": b.count(`SELECT count(*) FROM generate_series(1, $1::int) WHERE (SELECT count(*) FROM orders.orders) + (SELECT count(*) FROM archive.orders) <> $1`, old+young) +
			b.count(`SELECT count(*) FROM orders.orders o JOIN archive.orders d USING (id)`),
		"products whose stock is not the sum": b.count(`SELECT count(*) FROM inventory.stock s LEFT JOIN inventory.carried c USING (product_id)
			WHERE s.available <> (SELECT sum(quantity) FROM inventory.movements m WHERE m.product_id = s.product_id) - coalesce(c.taken, 0)`),
		"products whose chain is open": b.count(`SELECT count(*) FROM inventory.stock s LEFT JOIN inventory.carried c USING (product_id)
			WHERE inventory.link(0, s.available) <> (SELECT sum(inventory.link(balance - quantity, balance)) FROM inventory.movements m WHERE m.product_id = s.product_id) + coalesce(c.chain, 0)`),
		"months whose numbers are wrong": b.count(`SELECT count(*) FROM archive.months m WHERE orders <> (SELECT count(*) FROM archive.orders d WHERE d.month = m.month)
			OR payments <> (SELECT count(*) FROM payment.archived p WHERE p.month = m.month)
			OR documents <> (SELECT coalesce(sum(archive.digest(view::text || rows::text)), 0) FROM archive.orders d WHERE d.month = m.month)`),
	} {
		if n != 0 {
			b.Errorf("%s: %d", what, n)
		}
	}
}

// Orders that ended long ago go, with all their rows, and others stay. Restored they are what they were, to the last column.
func TestOrdersGoAsAWhole(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.exec(`INSERT INTO payment.attempts (order_id, claim, n, call, ms, at) SELECT order_id, 1, 1, 'charge', 7, attempted_at FROM payment.payments WHERE attempted_at IS NOT NULL`)
	b.exec(`INSERT INTO payment.acts (id, order_id, act, by, reason, state) SELECT gen_random_uuid(), order_id, 'retry', 'olga', 'a "reason"', state FROM payment.payments WHERE state = 'REFUNDED'`)
	b.exec(`INSERT INTO payment.acts (id, order_id, act, by, reason, state, outcome) SELECT gen_random_uuid(), order_id, 'settle', 'olga', 'by mail', state, 'not_charged' FROM payment.payments WHERE state = 'DECLINED'`)
	before := b.state(own...)
	dry := b.run(archive.Options{DryRun: true})
	if diff := cmp.Diff(before, b.state(own...)); diff != "" || len(dry.Months) != 0 || dry.Moved != old {
		t.Fatalf("dry: %+v %s", dry, diff)
	}
	result := b.run(archive.Options{Step: 7})
	if result.Moved != old || len(result.Kept) != 0 || len(result.Months) != 2 {
		t.Errorf("%+v", result)
	}
	for _, m := range result.Months {
		if m.Orders == 0 || m.Table == "" || m.Bytes == 0 || m.Gone != 0 {
			t.Errorf("%+v", m)
		}
	}
	if n := b.count(`SELECT count(*) FROM orders.orders`); n != young {
		t.Errorf("%d orders are left", n)
	}
	for _, table := range own[1:] {
		column := "order_id"
		if table == "orders.view" {
			column = "id"
		}
		if n := b.count(`SELECT count(*) FROM ` + table + ` t LEFT JOIN orders.orders o ON o.id = t.` + column + ` WHERE o.id IS NULL AND t.` + column + ` IS NOT NULL`); n != 0 {
			t.Errorf("%s: %d rows of archived orders", table, n)
		}
	}
	if n := b.count(`SELECT count(*) FROM payment.archived WHERE (state = 'DECLINED') <> (settled IS NOT DISTINCT FROM 'not_charged')`); n != 0 {
		t.Errorf("of %d archived payments what was said of them has not stayed", n)
	}
	b.whole()
	if again := b.run(archive.Options{}); again.Moved != 0 {
		t.Errorf("again: %+v", again)
	}
	rows, err := b.db.Query(t.Context(), `SELECT id FROM orders.archived`)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if err := archive.Restore(t.Context(), b.db, id); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, b.state(own...)); diff != "" {
		t.Errorf("restored (-before +after):\n%s", diff)
	}
	if n := b.count(`SELECT (SELECT count(*) FROM inventory.carried) + (SELECT sum(orders + movements + payments + abs(known) + abs(money) + abs(documents)) FROM archive.months)
		+ (SELECT count(*) FROM orders.archived) + (SELECT count(*) FROM payment.archived)`); n != 0 {
		t.Errorf("%d is left of what was restored", n)
	}
	if err := archive.Restore(t.Context(), b.db, ids[0]); err == nil || !strings.Contains(err.Error(), archive.ErrNotArchived.Error()) {
		t.Errorf("restored again: %v", err)
	}
}

// keeping is what is done to one order ($1), and why it then stays.
var keeping = map[string]string{
	`UPDATE orders.orders SET status = 'ENDING', owes_stock = true, ended_at = NULL WHERE id = $1`:                                                                                                                  "it has not ended",
	`INSERT INTO orders.idempotency_keys (customer, key, fingerprint, order_id, expires_at) SELECT 'c', 'k', decode(repeat('00', 32), 'hex'), $1, now()`:                                                            "its key is still known",
	`INSERT INTO shared.outbox (id, name, strategy, order_id, body) VALUES (gen_random_uuid(), 'order.completed', 'optimistic', $1, '')`:                                                                            "its facts are still kept",
	`INSERT INTO shared.dead_letters (id, module, reason, body, order_id) VALUES (gen_random_uuid(), 'order', 'exhausted', '', $1)`:                                                                                 "a dead letter of it is open",
	`INSERT INTO shared.waiting_facts (fact_id, module, key, version, order_id, body) VALUES (gen_random_uuid(), 'order', 'x.y', 1, $1, '')`:                                                                        "a fact of it waits for another version",
	`INSERT INTO payment.disputes (dispute_id, provider, account, charge_id, order_id, amount_minor, currency, status, over, funds, as_of) VALUES ('d', 'p', 'a', 'c', $1, 1, 'GBP', 'open', false, 'kept', now())`: "its charge is disputed",
	`INSERT INTO payment.orphans (provider_id, provider, account, kind, found, order_id, key, amount_minor, currency) VALUES ('x', 'p', 'a', 'charge', 'stray', $1::uuid::text, 'k', 1, 'GBP')`:                     "there is money that only one side knows of",
	`UPDATE payment.payments SET state = 'REFUNDING', refund_id = NULL, undo_cause = cause, due_at = now() WHERE order_id = $1`:                                                                                     "its money is under way",
	`UPDATE orders.view SET version = version - 1 WHERE id = $1`:                                                                                                                                                    "its rows do not agree: see the audit",
	`UPDATE inventory.reservation_lines SET quantity = quantity + 1 WHERE order_id = $1`:                                                                                                                            "its rows do not agree: see the audit",
	`UPDATE inventory.movements SET quantity = quantity - 1 WHERE order_id = $1`:                                                                                                                                    "its rows do not agree: see the audit",
	`DELETE FROM payment.payments WHERE order_id = $1`:                                                                                                                                                              "its rows do not agree: see the audit",
}

// Whatever somebody may still have to do with an order keeps it, and so does what the auditor would name.
func TestWhatKeepsAnOrder(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	rows, err := b.db.Query(t.Context(), `SELECT id FROM orders.orders WHERE status = 'COMPLETED' ORDER BY id LIMIT $1`, len(keeping))
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for i, sql := range slices.Sorted(maps.Keys(keeping)) {
		b.exec(sql, ids[i])
		want[keeping[sql]]++
	}
	got := b.run(archive.Options{})
	if diff := cmp.Diff(want, got.Kept); diff != "" || got.Moved != int64(old-len(keeping)) {
		t.Errorf("moved %d, kept (-want +got):\n%s", got.Moved, diff)
	}
	b.exec(`INSERT INTO payment.hunts (provider, account) SELECT DISTINCT provider, account FROM payment.transfers`) // which has looked for none of our transfers yet
	b.exec(`DELETE FROM shared.dead_letters`)
	b.exec(`DELETE FROM shared.outbox`)
	const unmet = "its money was not looked for in the provider's list yet"
	if got := b.run(archive.Options{}); got.Kept[unmet] != 6 || got.Moved != 0 {
		t.Errorf("%+v", got)
	}
	b.exec(`UPDATE payment.hunts SET at = now()`)
	if got := b.run(archive.Options{}); got.Moved != 2 {
		t.Errorf("%+v", got)
	}
}

// A month is dropped whole, and an order of it that comes later begins it anew. One whose table is detached is left alone.
func TestAMonthIsDropped(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.exec(`UPDATE orders.view SET version = 0 WHERE id = (SELECT id FROM orders.orders ORDER BY id LIMIT 1)`)
	first := b.run(archive.Options{}).Months[0]
	b.exec(`ALTER TABLE archive.orders DETACH PARTITION ` + first.Table)
	b.exec(`UPDATE orders.view SET version = 3 WHERE version = 0`)
	if got := b.run(archive.Options{}); got.Moved != 0 || len(got.Kept) != 1 || got.Months[0].Table != "" {
		t.Errorf("detached: %+v", got)
	}
	b.exec(`DROP TABLE ` + first.Table)
	got := b.run(archive.Options{})
	want := archive.Month{Month: first.Month, Orders: first.Orders + 1, Gone: first.Orders, Table: first.Table, Bytes: got.Months[0].Bytes}
	if diff := cmp.Diff(want, got.Months[0]); diff != "" || got.Moved != 1 {
		t.Errorf("%+v\n%s", got, diff)
	}
	if n := b.count(`SELECT count(*) FROM archive.orders d JOIN archive.months m USING (month) WHERE m.month = $1 AND m.documents = archive.digest(view::text || rows::text)`, first.Month); n != 1 {
		t.Errorf("%d documents of the month that are proven", n)
	}
	var id uuid.UUID
	if err := b.db.QueryRow(t.Context(), `SELECT id FROM orders.archived a WHERE NOT EXISTS (SELECT FROM archive.orders d WHERE d.id = a.id) LIMIT 1`).Scan(&id); err != nil {
		t.Fatal(err)
	}
	if err := archive.Restore(t.Context(), b.db, id); err == nil || !strings.Contains(err.Error(), archive.ErrGone.Error()) {
		t.Errorf("restored of a month that is gone: %v", err)
	}
}

// Who has lost the lease moves nothing any more, and two who move at once move each order once.
func TestTwoArchivers(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	zombie := lease.WithTerm(t.Context(), lease.Term{Name: "archive", Holder: "somebody", Number: 1})
	if _, err := archive.Run(zombie, b.db, archive.Options{OlderThan: age, Log: b.env.Log}); !lease.Over(err) {
		t.Errorf("without the lease: %v", err)
	}
	if n := b.count(`SELECT (SELECT count(*) FROM archive.orders) + (SELECT count(*) FROM archive.months)`); n != 0 {
		t.Errorf("%d rows without the lease", n)
	}
	b.exec(`UPDATE orders.view SET version = 0 WHERE id NOT IN ((SELECT id FROM orders.orders ORDER BY id LIMIT 1), (SELECT id FROM orders.orders WHERE ended_at < now() - interval '1 month' ORDER BY id DESC LIMIT 1))`)
	b.run(archive.Options{}) // makes both months, which one alone can do
	b.exec(`UPDATE orders.view SET version = 3`)
	var moved [2]int64
	done := make(chan error, len(moved))
	for i := range moved {
		go func() {
			result, err := archive.Run(context.WithoutCancel(t.Context()), b.db, archive.Options{OlderThan: age, Log: b.env.Log, Step: 3})
			moved[i] = result.Moved
			done <- err
		}()
	}
	for range moved {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if moved[0]+moved[1] != old-2 {
		t.Errorf("moved %v", moved)
	}
	b.whole()
}

// stays are tables with rows of orders that are not archived, and why.
var stays = map[string]string{
	"orders.archived":         "of orders that are archived",
	"payment.archived":        "as orders.archived",
	"orders.idempotency_keys": "an order goes when its key is forgotten",
	"payment.disputes":        "what befell money later, which the auditor compares with the provider's list for good; one that is open keeps its order",
	"payment.failed_refunds":  "no refund that has failed may ever count as made, also when its order is archived",
	"payment.orphans":         "money that only one side knows of; what is open keeps its order, the rest explains the provider's list for good",
}

// A table that is new, and has rows of orders, is archived with them or says why not; so is one that other tables' rows hang on.
func TestEveryTableOfAnOrderIsArchived(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	b.run(archive.Options{})
	rows, err := b.db.Query(t.Context(), `
		SELECT DISTINCT a.attrelid::regclass::text FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		WHERE c.relnamespace IN ('orders'::regnamespace, 'inventory'::regnamespace, 'payment'::regnamespace) AND c.relkind IN ('r', 'p')
		  AND (a.attname = 'order_id' AND NOT a.attisdropped OR c.relnamespace = 'orders'::regnamespace) ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	rows, err = b.db.Query(t.Context(), `SELECT DISTINCT jsonb_object_keys(rows) FROM archive.orders UNION SELECT 'orders.view'`)
	if err != nil {
		t.Fatal(err)
	}
	archived, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if in, out := slices.Contains(archived, table), stays[table] != ""; in == out {
			t.Errorf("%s is archived: %t, and has a reason not to be: %t", table, in, out)
		}
	}
	if missing := fmt.Sprint(slices.Sorted(slices.Values(archived))); missing != fmt.Sprint(slices.Sorted(slices.Values(own))) {
		t.Errorf("archived are %s", missing)
	}
}
