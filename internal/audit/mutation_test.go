package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/audit"
)

// mutated are the tables of which every column of an order's row is changed, and how a row of an order is found in them.
var mutated = map[string]string{
	"orders.orders": "id", "orders.lines": "order_id", "orders.view": "id", "orders.idempotency_keys": "order_id",
	"payment.payments": "order_id", "payment.transfers": "order_id", "payment.failed_refunds": "order_id", "payment.disputes": "order_id",
	"inventory.movements": "order_id", "inventory.reservations": "order_id", "inventory.reservation_lines": "order_id",
	"shared.outbox": "order_id",
}

// outcomes are orders of the healthy shop that ended differently.
var outcomes = map[string]string{
	"completed": completed, "declined": declined, "refunded": refunded, "cancelled": cancelled,
	"out of stock": `SELECT id FROM orders.orders WHERE failure_reason = 'OUT_OF_STOCK' AND strategy = 'optimistic'`,
}

// unaudited are the columns that may be changed without the auditor naming it, and why.
var unaudited = map[string]string{
	"inventory.movements.id":               "names the movement alone; the chain of balances does not depend on the order of ids",
	"inventory.movements.reason":           "an operator's words",
	"inventory.movements.at":               "shown and compared with nothing: the fact that it names has its own time",
	"inventory.reservation_lines.lane":     "which lane took it, of use while lanes give back",
	"inventory.reservations.decided_at":    "a cooldown is counted from it",
	"inventory.reservations.released_at":   "a cooldown is counted from it",
	"inventory.reservations.lanes":         "counts of the lanes' answers, of use while they gather; the table's checks bind them to its state",
	"inventory.reservations.open":          "as lanes",
	"inventory.reservations.taken":         "as lanes",
	"inventory.reservations.short":         "what lanes could not have, said in stock.failed",
	"orders.idempotency_keys.key":          "the customer's word; nothing else has it",
	"orders.idempotency_keys.fingerprint":  "of a request that is not kept",
	"orders.idempotency_keys.created_at":   "compared with the end of the key's life alone",
	"orders.orders.cart_id":                "carts go before their orders do",
	"orders.orders.deadline":               "of no use once an order has ended; before that O3 looks at it",
	"orders.orders.asked":                  "what the orchestrator waits for, of use while an order is under way",
	"payment.payments.traceparent":         "for traces",
	"payment.payments.undo_traceparent":    "for traces",
	"payment.payments.attempted_at":        "the provider's memory of the key counts from it while the outcome is not known",
	"payment.payments.refund_attempted_at": "shown while a refund is owed",
	"payment.payments.owed_since":          "shown while a refund is owed",
	"payment.payments.tries":               "of use while the payment is under way",
	"payment.payments.claim":               "fences chargers, of use while the payment is under way",
	"payment.payments.leased_until":        "as claim",
	"payment.payments.due_at":              "as claim; the table's checks bind it to the state",
	"payment.payments.created_at":          "shown and compared with nothing",
	"payment.payments.changed_at":          "shown and compared with nothing",
	"payment.payments.opened_as":           "of use until the payment has its charge",
	"payment.payments.error_answers":       "makes keys while the payment is under way",
	"payment.payments.last_error":          "a provider's words",
	"payment.failed_refunds.provider":      "for operators; whose charge it is says it as well",
	"payment.failed_refunds.account":       "as provider",
	"payment.failed_refunds.reason":        "a provider's words",
	"payment.failed_refunds.failed_at":     "shown and compared with nothing",
	"payment.failed_refunds.told_at":       "shown and compared with nothing",
	"payment.disputes.provider":            "for operators; whose charge it is says it as well",
	"payment.disputes.account":             "as provider",
	"payment.disputes.reason":              "a provider's words",
	"payment.disputes.over":                "what the status means, which is compared",
	"payment.disputes.as_of":               "orders what is told, of use while the dispute goes on",
	"payment.disputes.told_at":             "shown and compared with nothing",
	"payment.disputes.changed_at":          "shown and compared with nothing",
	"payment.transfers.at":                 "how far transfers were compared with the provider's list",
	"shared.outbox.at":                     "the key of its partition; the fact has its own time in its body",
	"shared.outbox.xid":                    "what is published is told by it",
	"shared.outbox.part":                   "which lane it was for, of use until it is published",
}

// change is an expression of another value for a column of a type.
func change(column, kind string) string {
	switch kind {
	case "uuid":
		return "gen_random_uuid()"
	case "text":
		return "coalesce(" + column + ", '') || 'x'"
	case "int8", "int4", "int2":
		return "coalesce(" + column + ", 0) + 7"
	case "timestamptz":
		return "coalesce(" + column + ", now()) - interval '3 hours'"
	case "bool":
		return "NOT " + column
	case "jsonb":
		return "'[]'"
	case "bytea":
		return "'\\x7b7d'"
	case "_text":
		return "array_append(" + column + ", 'x')"
	case "xid8":
		return "'3'"
	}
	panic("no other value of a " + kind)
}

// column is a column of a table.
type column struct{ Table, Name, Kind string }

func (c column) String() string { return c.Table + "." + c.Name }

// columnsOf lists the columns of the mutated tables as the database has them, so that new ones are among them.
func (b *broken) columnsOf() []column {
	b.Helper()
	rows, err := b.db.Query(b.Context(), `
		SELECT a.attrelid::regclass::text, a.attname, t.typname FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
		WHERE a.attrelid = ANY ($1::text[]::regclass[]) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attrelid::regclass::text, a.attnum`,
		slices.Sorted(maps.Keys(mutated)))
	if err != nil {
		b.Fatal(err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		b.Fatal(err)
	}
	return columns
}

// Every column of a finished order's rows is changed, one at a time, and the auditor names that something is broken; what it does not
// name is on the list with its reason, and what it names is not.
func TestEveryColumnIsAudited(t *testing.T) {
	t.Parallel()
	s := sell(t)
	s.env.DB.Close() // a database that is in use cannot be copied
	b := &broken{T: t, shop: s, db: s.copyOf(t)}
	b.Options = s.options(t, b.db)
	b.exec(`ALTER TABLE payment.transfers DISABLE TRIGGER ALL`)
	b.exec(`CREATE SCHEMA saved`)
	for table := range mutated {
		b.free(table)
		b.exec(fmt.Sprintf(`CREATE TABLE saved.%s AS TABLE %s`, strings.ReplaceAll(table, ".", "_"), table))
	}
	names := slices.Sorted(maps.Keys(outcomes))
	seen := map[string]bool{}
	for i, c := range b.columnsOf() {
		named := false
		reason, listed := unaudited[c.String()]
		for n := range names { // the next outcome first; most have a row of each table
			if n > 0 && listed {
				break // one row is enough to show that it is not named
			}
			if named = b.mutate(c, b.id(outcomes[names[(i+n)%len(names)]])); named {
				break
			}
		}
		if seen[c.String()] = true; named == listed {
			t.Errorf("%s: changed, and named: %t, on the list: %q", c, named, reason)
		}
	}
	for name := range unaudited {
		if !seen[name] {
			t.Errorf("%s is on the list and is no column", name)
		}
	}
}

// mutate changes a column of a row of an order, reports whether the auditor does not call that well, and puts the table back.
func (b *broken) mutate(c column, order uuid.UUID) (named bool) {
	b.Helper()
	tag, err := b.db.Exec(b.Context(), fmt.Sprintf(`
		UPDATE %[1]s SET %[2]s = %[3]s WHERE (tableoid, ctid) = (SELECT tableoid, ctid FROM %[1]s WHERE %[4]s = $1 ORDER BY ctid DESC LIMIT 1)`,
		c.Table, c.Name, change(c.Name, c.Kind), mutated[c.Table]), order)
	if err != nil {
		b.Fatalf("%s: %v", c, err)
	}
	if tag.RowsAffected() == 0 {
		return false
	}
	named = run(b.T, b.Options).ExitCode() != audit.ExitOK // or not at rest, for a fact that nobody has handled
	b.exec(`DELETE FROM ` + c.Table)
	b.exec(fmt.Sprintf(`INSERT INTO %s SELECT * FROM saved.%s`, c.Table, strings.ReplaceAll(c.Table, ".", "_")))
	return named
}
