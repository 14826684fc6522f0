package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

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
	SET LOCAL enable_nestloop = off; SET LOCAL jit = off; SET LOCAL work_mem = '24MB';
	SET LOCAL hash_mem_multiplier = 1; SET LOCAL max_parallel_workers_per_gather = 0`

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

// lookAtClock learns the time by which expiries are said.
func lookAtClock(ctx context.Context, db *postgres.DB) error {
	began := time.Now()
	var theirs time.Time
	if err := db.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&theirs); err != nil {
		return fmt.Errorf("ask for the time: %w", err)
	}
	clock.Set(theirs, began.Add(time.Since(began)/2))
	return nil
}
