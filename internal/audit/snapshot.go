package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// desk is the one connection that an audit works on. The provider's ledger lies on it, in a temporary table, beside our own
// books, so that Postgres compares the two however long they are. Nothing is written within the snapshot's transaction: it would
// have an id until the audit ends, and hold up the mark and slots of the whole server.
type desk struct {
	conn   *pgxpool.Conn
	ledger *Ledger
	read   int64 // number of the ledger's last entry that lies here
	gone   error // why the ledger could not be read, or nil
}

// layTable makes the table of what is read before the snapshot is taken, and the view that adds the few entries that were made since,
// which our books in the snapshot need not know of: those are a setting of its transaction.
const layTable = `
	CREATE TEMP TABLE audit_entries (
		kind text NOT NULL, id text NOT NULL, key text NOT NULL, order_id text NOT NULL, charge_id text NOT NULL,
		amount_minor bigint NOT NULL, currency text NOT NULL
	);
	CREATE TEMP VIEW audit_ledger AS
		SELECT e.*, false AS late FROM audit_entries e
		UNION ALL SELECT l.*, true FROM jsonb_to_recordset(coalesce(nullif(current_setting('holdfast.late_entries', true), ''), '[]')::jsonb)
			AS l(kind text, id text, key text, order_id text, charge_id text, amount_minor bigint, currency text)`

const clearTable = `DROP VIEW IF EXISTS pg_temp.audit_ledger; DROP TABLE IF EXISTS pg_temp.audit_entries`

func sitDown(ctx context.Context, db *postgres.DB, ledger *Ledger) (*desk, error) {
	conn, err := db.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if _, err := conn.Exec(ctx, clearTable+";"+layTable); err != nil {
		conn.Release()
		return nil, fmt.Errorf("lay a table for the ledger: %w", err)
	}
	return &desk{conn: conn, ledger: ledger}, nil
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

// snapshot is one repeatable-read, read-only transaction on the desk.
type snapshot struct {
	tx pgx.Tx
	at time.Time // by Postgres' clock
}

// patience: large tables take their time, and the transaction is idle while Redis and the ledger are read. The rest makes
// one pass over a large table cheaper: every question is about all rows, so they are hashed. Of a table without statistics, as the
// desk's is, Postgres would believe that it has few rows, and look through all of it for each row of another.
const patience = `
	SET LOCAL statement_timeout = '30min'; SET LOCAL idle_in_transaction_session_timeout = '30min';
	SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '64MB'`

func (d *desk) open(ctx context.Context) (*snapshot, error) {
	tx, err := d.conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	s := &snapshot{tx: tx}
	// The partitions that it is yet to read are not dropped under it.
	if _, err := tx.Exec(ctx, `LOCK TABLE shared.outbox, shared.inbox IN ACCESS SHARE MODE`); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if _, err := tx.Exec(ctx, patience); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	if err := tx.QueryRow(ctx, `SELECT now()`).Scan(&s.at); err != nil {
		s.close(ctx)
		return nil, fmt.Errorf("open snapshot: %w", err)
	}
	return s, nil
}

func (s *snapshot) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = s.tx.Rollback(ctx) // nothing was written; a connection that cannot roll back is closed by pgx
}

// rule is a question whose every row is a breach.
type rule struct {
	says string // what does not hold, for the reader of a report
	sql  string // SELECT whose columns say where
	args []any
}

// ask gives the first rows of a rule's question as JSON objects, with the rule's words in front.
func (s *snapshot) ask(ctx context.Context, r rule) ([]Row, error) {
	sql := fmt.Sprintf(`SELECT row_to_json(r) FROM (SELECT $%d::text AS rule, q.* FROM (%s) q LIMIT %d) r`, len(r.args)+1, r.sql, firstRows)
	rows, err := s.tx.Query(ctx, sql, append(r.args[:len(r.args):len(r.args)], r.says)...)
	if err != nil {
		return nil, fmt.Errorf("ask whether %s: %w", r.says, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[Row])
	if err != nil {
		return nil, fmt.Errorf("ask whether %s: %w", r.says, err)
	}
	return found, nil
}

// count gives one number.
func (s *snapshot) count(ctx context.Context, sql string, args ...any) (int64, error) {
	var n int64
	if err := s.tx.QueryRow(ctx, sql, args...).Scan(&n); err != nil {
		return 0, fmt.Errorf("count: %w", err)
	}
	return n, nil
}

// check asks every rule and enters what breaks it; counting says how many things they look at.
func (a *auditor) check(ctx context.Context, v *Verdict, counting string, rules ...rule) error {
	n, err := a.snap.count(ctx, counting)
	if err != nil {
		return err
	}
	v.Checked += n
	for _, r := range rules {
		rows, err := a.snap.ask(ctx, r)
		if err != nil {
			return err
		}
		v.breaks(rows...)
	}
	return nil
}

// list enters what is legal and worth a look.
func (a *auditor) list(ctx context.Context, v *Verdict, r rule) error {
	rows, err := a.snap.ask(ctx, r)
	v.Listed = append(v.Listed, rows...)
	return err
}
