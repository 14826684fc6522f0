package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// desk is the one connection that an audit works on. The providers' books lie on it, in a temporary table, beside our own, so that
// Postgres compares them however long they are. Nothing is written within the snapshot's transaction: it would have an id until the
// audit ends, and hold up the mark and slots of the whole server.
type desk struct {
	conn  *pgxpool.Conn
	books []*books
}

// books are those of one account, as far as they lie on the desk.
type books struct {
	ledger  Ledger
	reader  reader
	account string // the provider's word for it; empty: it has not said so
	byHand  bool   // refunds have come that nobody here has asked for
	gone    error  // why they could not be read to their end, or nil
}

// layTable makes the table of what is read before the snapshot is taken, and the view that adds the few entries that were made since,
// which our books in the snapshot need not know of: those are a setting of its transaction, and so are the accounts whose books were
// read to their end.
const layTable = `
	CREATE TEMP TABLE audit_entries (
		provider text NOT NULL, account text NOT NULL,
		kind text NOT NULL, id text NOT NULL, key text NOT NULL, order_id text NOT NULL, charge_id text NOT NULL,
		amount_minor bigint NOT NULL, currency text NOT NULL, status text NOT NULL, at timestamptz NOT NULL
	);
	CREATE TEMP VIEW audit_ledger AS
		SELECT e.*, kind IN ('reversal', 'stand') AND at > now() - ` + toldWithin + ` AS late FROM audit_entries e
		WHERE id NOT IN (` + settledOrphans + `) AND charge_id NOT IN (` + settledOrphans + `)
		UNION ALL SELECT l.*, true FROM jsonb_to_recordset(coalesce(nullif(current_setting('holdfast.late_entries', true), ''), '[]')::jsonb)
			AS l(provider text, account text, kind text, id text, key text, order_id text, charge_id text, amount_minor bigint, currency text,
			     status text, at timestamptz);
	CREATE TEMP VIEW audit_accounts AS
		SELECT * FROM jsonb_to_recordset(coalesce(nullif(current_setting('holdfast.audit_accounts', true), ''), '[]')::jsonb) AS a(provider text, account text)`

// toldWithin is how long it takes until we have heard of what befalls money later: by a webhook, or by the next hunts. For as long it is
// late like what was made after the snapshot.
const toldWithin = `interval '3 minutes'`

const clearTable = `DROP VIEW IF EXISTS pg_temp.audit_ledger, pg_temp.audit_accounts; DROP TABLE IF EXISTS pg_temp.audit_entries`

func sitDown(ctx context.Context, db *postgres.DB, ledgers []Ledger) (*desk, error) {
	conn, err := db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := conn.Exec(ctx, clearTable+";"+layTable); err != nil {
		conn.Release()
		return nil, fmt.Errorf("lay a table for the ledger: %w", err)
	}
	d := &desk{conn: conn}
	for _, l := range ledgers {
		d.books = append(d.books, &books{ledger: l, reader: l.reader()})
	}
	return d, nil
}

// leave gives the connection back as it was. It has a time of its own, since what ended the audit may be its context.
func (d *desk) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := d.conn.Exec(ctx, clearTable); err != nil {
		_ = d.conn.Conn().Close(ctx) // the pool makes another
	}
	d.conn.Release()
}

// gone says whether the books of some account could not be read.
func (d *desk) gone() bool {
	for _, b := range d.books {
		if b.gone != nil {
			return true
		}
	}
	return false
}

// catchUp lays on the desk what the books have gained. Before a snapshot is taken, every entry's intent is in our books by then, for it
// was committed before the provider was called.
func (d *desk) catchUp(ctx context.Context) error {
	for _, b := range d.books {
		if b.gone = b.catchUp(ctx, d); b.gone == nil {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !unreachable(b.gone) {
			return fmt.Errorf("lay the ledger beside the books: %w", b.gone)
		}
		if err := b.forget(ctx, d); err != nil { // a provider that does not answer is no failure of the audit
			return err
		}
	}
	if len(d.books) == 0 {
		return nil
	}
	if _, err := d.conn.Exec(ctx, `ANALYZE audit_entries`); err != nil {
		return fmt.Errorf("lay the ledger beside the books: %w", err)
	}
	return nil
}

func (b *books) catchUp(ctx context.Context, d *desk) (err error) {
	if b.account == "" {
		if b.account, err = b.reader.account(ctx); err != nil {
			return err
		}
	}
	if err := b.reader.gained(ctx, nil, func(page []entry) error { return b.lay(ctx, d, page) }); err != nil || !b.byHand {
		return err
	}
	b.byHand = false
	_, err = d.conn.Exec(ctx, byHandSQL)
	return err
}

// byHandSQL names the order of refunds that somebody made by hand and of disputes, and takes away those of charges that are not ours.
const byHandSQL = `
	WITH ours AS (
		UPDATE audit_entries r SET order_id = c.order_id FROM audit_entries c
		WHERE r.kind <> 'charge' AND r.key = '' AND c.kind = 'charge' AND (c.provider, c.account, c.id) = (r.provider, r.account, r.charge_id) RETURNING r.id)
	DELETE FROM audit_entries r WHERE r.kind <> 'charge' AND r.key = '' AND r.order_id = '' AND r.id NOT IN (SELECT id FROM ours)`

// lay copies entries.
func (b *books) lay(ctx context.Context, d *desk, page []entry) error {
	rows := make([][]any, len(page))
	for i, e := range page {
		rows[i] = []any{b.ledger.name(), b.account, e.Kind, e.ID, e.Key, e.OrderID, e.ChargeID, e.AmountMinor, e.Currency, e.Status, e.At}
		b.byHand = b.byHand || e.Key == ""
	}
	columns := []string{"provider", "account", "kind", "id", "key", "order_id", "charge_id", "amount_minor", "currency", "status", "at"}
	_, err := d.conn.CopyFrom(ctx, pgx.Identifier{"audit_entries"}, columns, pgx.CopyFromRows(rows))
	return err
}

// forget takes from the desk what lies there of books that could not be read to their end. They are read from the beginning next time.
func (b *books) forget(ctx context.Context, d *desk) error {
	if _, err := d.conn.Exec(ctx, `DELETE FROM audit_entries WHERE (provider, account) = ($1, $2)`, b.ledger.name(), b.account); err != nil {
		return fmt.Errorf("take the ledger from the desk: %w", err)
	}
	b.account, b.byHand, b.reader = "", false, b.ledger.reader()
	return nil
}
