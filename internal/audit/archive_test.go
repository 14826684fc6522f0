package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/audit"
)

// age makes all orders of the shop, and what was done for them, so old that they may be archived: their facts are long forgotten.
func (b *broken) age() {
	b.Helper()
	for _, sql := range []string{
		`DELETE FROM orders.idempotency_keys`, `TRUNCATE shared.outbox`, `TRUNCATE shared.inbox`,
		`UPDATE orders.orders SET created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'`,
		`UPDATE orders.view SET created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'`,
		`UPDATE payment.hunts SET at = 'infinity'`,
	} {
		b.exec(sql)
	}
}

// archive moves all that is old enough.
func (b *broken) archive() archive.Result {
	b.Helper()
	result, err := archive.Run(b.Context(), b.db, archive.Options{OlderThan: 90 * 24 * time.Hour, Log: b.shop.env.Log})
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// Orders of the archive, and their rows.
const (
	archivedCharge = `(SELECT order_id FROM payment.archived WHERE state = 'SUCCESS' ORDER BY order_id LIMIT 1)`
	archivedRefund = `(SELECT order_id FROM payment.archived WHERE state = 'REFUNDED' ORDER BY order_id LIMIT 1)`
	carriedProduct = `(SELECT product_id FROM inventory.carried WHERE taken > 0 ORDER BY product_id LIMIT 1)`
	archivedOrder  = `(SELECT id FROM orders.archived ORDER BY id LIMIT 1)`
)

// archiveBreaks are what is done to what was archived, and the invariants that do not hold then.
var archiveBreaks = []struct{ sql, broken string }{
	{`UPDATE inventory.carried SET taken = taken + 1 WHERE product_id = ` + carriedProduct, "S2"},
	{`UPDATE inventory.carried SET movements = movements + 1 WHERE product_id = ` + carriedProduct, "S2"},
	{`UPDATE inventory.carried SET chain = chain + 1 WHERE product_id = ` + carriedProduct, "S2"},
	{`UPDATE inventory.carried SET product_id = gen_random_uuid() WHERE product_id = ` + carriedProduct, "S2"},
	{`DELETE FROM inventory.carried WHERE product_id = ` + carriedProduct, "S2"},
	{`UPDATE payment.archived SET order_id = gen_random_uuid() WHERE order_id = ` + archivedCharge, "M2 M3 O1"},
	{`UPDATE payment.archived SET month = month - 31 WHERE order_id = ` + archivedCharge, "M2 O1"},
	{`UPDATE payment.archived SET state = 'DECLINED' WHERE order_id = ` + archivedCharge, "M2 M3"},
	{`UPDATE payment.archived SET amount_minor = amount_minor + 1 WHERE order_id = ` + archivedCharge, "M2 M3"},
	{`UPDATE payment.archived SET currency = 'EUR' WHERE order_id = ` + archivedCharge, "M2 M3"},
	{`UPDATE payment.archived SET opened_as = 'x' WHERE order_id = ` + archivedCharge, "M2"},
	{`UPDATE payment.archived SET charge_id = 'x' WHERE order_id = ` + archivedCharge, "M2 M3"},
	{`UPDATE payment.archived SET refund_id = 'x' WHERE order_id = ` + archivedRefund, "M2 M3"},
	{`UPDATE payment.archived SET settled = 'charged' WHERE order_id = ` + archivedCharge, "M2"},
	{`DELETE FROM payment.archived WHERE order_id = ` + archivedRefund, "M2 M3"},
	{`UPDATE orders.archived SET id = gen_random_uuid() WHERE id = ` + archivedOrder, "O1"},
	{`UPDATE orders.archived SET customer = 'x' WHERE id = ` + archivedOrder, "O1"},
	{`UPDATE orders.archived SET month = month - 31 WHERE id = ` + archivedOrder, "O1"},
	{`DELETE FROM orders.archived WHERE id = ` + archivedOrder, "O1"},
	{`UPDATE archive.months SET orders = orders + 1`, "O1"},
	{`UPDATE archive.months SET movements = movements + 1`, "S2"},
	{`UPDATE archive.months SET payments = payments + 1`, "M2"},
	{`UPDATE archive.months SET known = known + 1`, "O1"},
	{`UPDATE archive.months SET money = money + 1`, "M2"},
	{`DELETE FROM archive.months`, "S2 M2 O1"},
}

// documentBreaks are what is named when documents are read, too.
var documentBreaks = []string{
	`UPDATE archive.orders SET view = jsonb_set(view, '{status}', '"X"') WHERE id = ` + archivedOrder,
	`UPDATE archive.orders SET rows = jsonb_set(rows, '{orders.lines,0,quantity}', '77') WHERE id = ` + archivedOrder,
	`UPDATE archive.orders SET customer = 'x' WHERE id = ` + archivedOrder,
	`DELETE FROM archive.orders WHERE id = ` + archivedOrder,
	`UPDATE archive.months SET documents = documents + 1`,
	`UPDATE archive.months SET gone = gone + 1`,
}

// What was archived is whole, also when its month is dropped, and each row that stays of it is proven.
func TestArchivedOrdersAreAudited(t *testing.T) {
	t.Parallel()
	s := sell(t)
	s.env.DB.Close() // a database that is in use cannot be copied
	b := &broken{T: t, shop: s, db: s.copyOf(t)}
	b.Options = s.options(t, b.db)
	b.age()
	if report := run(t, b.Options); report.ExitCode() != audit.ExitOK {
		t.Fatalf("aged: %s", printed(t, report))
	}
	result := b.archive()
	if result.Moved == 0 || len(result.Kept) != 0 || b.count(`SELECT count(*) FROM orders.orders`) != 0 {
		t.Fatalf("%+v", result)
	}
	b.Archive = true
	if report := run(t, b.Options); report.ExitCode() != audit.ExitOK || !report.AtRest {
		t.Fatalf("archived: %s", printed(t, report))
	}
	for _, table := range keptOfArchived {
		b.exec(`CREATE TABLE public.` + strings.ReplaceAll(table, ".", "_") + ` AS TABLE ` + table)
		b.free(table)
	}
	for _, one := range archiveBreaks {
		b.Archive = false
		b.tamper(one.sql, one.broken)
	}
	for _, sql := range documentBreaks {
		b.Archive = true
		b.tamper(sql, "O1")
	}
	b.exec(`DROP TABLE ` + result.Months[0].Table)
	if report := run(t, b.Options); report.ExitCode() != audit.ExitOK {
		t.Errorf("a month is dropped: %s", printed(t, report))
	}
	b.Archive = false
	b.tamper(`UPDATE payment.archived SET charge_id = 'x' WHERE order_id = `+archivedCharge, "M2 M3")
}

// keptOfArchived are the tables of what is kept of archived orders.
var keptOfArchived = []string{"archive.orders", "archive.months", "orders.archived", "payment.archived", "inventory.carried"}

// tamper changes what was archived, wants the auditor to name what does not hold then, and puts it back.
func (b *broken) tamper(sql, want string) {
	b.Helper()
	b.exec(sql)
	if report := run(b.T, b.Options); !slices.Equal(report.Broken(), strings.Fields(want)) {
		b.Errorf("%s: broken %v, want %s:\n%s", sql, report.Broken(), want, printed(b.T, report))
	}
	for _, table := range keptOfArchived {
		if table != "archive.orders" || b.Archive {
			b.exec(`DELETE FROM ` + table)
			b.exec(`INSERT INTO ` + table + ` TABLE public.` + strings.ReplaceAll(table, ".", "_"))
		}
	}
}

// count gives one number.
func (b *broken) count(sql string) (n int64) {
	b.Helper()
	if err := b.db.QueryRow(b.Context(), sql).Scan(&n); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return n
}
