package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// keptRuns is how long runs are remembered.
const keptRuns = 30 * 24 * time.Hour

// start enters the run and works out what it looks at. Without a mark there is nothing to begin from, and all is compared. So it
// is when Postgres' clock was put back behind the mark: what has changed since then is not told by the time.
func (p *pass) start(ctx context.Context, all bool) error {
	err := p.Postgres.InTx(ctx, func(tx pgx.Tx) error {
		if err := lease.Fence(ctx, tx, p.term); err != nil {
			return err
		}
		var mark *time.Time
		err := tx.QueryRow(ctx, `SELECT (SELECT mark FROM shared.reconcile_mark), now(), now() - $1::interval`, p.Cooldown).
			Scan(&mark, &p.run.StartedAt, &p.window.to)
		if err != nil {
			return err
		}
		p.window.all = all || mark == nil || mark.After(p.window.to)
		if !p.window.all {
			p.window.from = *mark
		}
		p.run.Everything = p.window.all
		_, err = tx.Exec(ctx, `INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, started_at) VALUES ($1, $2, $3, $4, $5, $6)`,
			p.run.ID, p.run.Scope, p.run.Everything, p.run.DryRun, p.term.Number, p.run.StartedAt)
		return err
	})
	if err != nil {
		return fmt.Errorf("start reconciliation: %w", err)
	}
	return nil
}

// ForgetRuns deletes runs of long ago, what differed first: of one run that may be as much as there is in Redis. It answers how many
// rows went.
func (r *Reconciler) ForgetRuns(ctx context.Context) (int64, error) {
	var all int64
	for _, sql := range []string{`
		DELETE FROM shared.reconciliation_differences WHERE ctid = ANY (ARRAY(
			SELECT d.ctid FROM shared.reconciliations r JOIN shared.reconciliation_differences d ON d.run_id = r.id
			WHERE r.started_at < now() - $1::interval ORDER BY r.started_at LIMIT $2))`, `
		DELETE FROM shared.reconciliations WHERE id = ANY (ARRAY(
			SELECT r.id FROM shared.reconciliations r WHERE r.started_at < now() - $1::interval
			AND (SELECT d.n FROM shared.reconciliation_differences d WHERE d.run_id = r.id LIMIT 1) IS NULL ORDER BY r.started_at LIMIT $2))`} {
		n, err := r.Postgres.InSteps(ctx, sql, keptRuns)
		all += n
		if err != nil {
			return all, fmt.Errorf("forget reconciliations: %w", err)
		}
	}
	return all, nil
}

// end stores the counts, and after a run that came to its end the mark: what is before it has been compared. A run whose
// term was over stores nothing. It has a time of its own, since what failed the run may be its context.
func (p *pass) end(ctx context.Context, failed error) error {
	if failed != nil {
		p.run.Error = failed.Error()
	}
	p.run.Seconds = time.Since(p.began).Seconds()
	epoch := uuid.New()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := p.Postgres.InTx(ctx, func(tx pgx.Tx) error {
		if err := lease.Fence(ctx, tx, p.term); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, `
			UPDATE shared.reconciliations SET ended_at = now(), seconds = $2, compared = $3, drifted = $4, repaired = $5, error = $6
			WHERE id = $1 RETURNING ended_at`,
			p.run.ID, p.run.Seconds, p.run.Compared, p.run.Drifted, p.run.Repaired, p.run.Error).Scan(&p.run.EndedAt)
		if err != nil || failed != nil || p.run.DryRun {
			return err
		}
		// The word in Redis changes only when everything was compared: then it is known to have been whole.
		return tx.QueryRow(ctx, `
			INSERT INTO shared.reconcile_mark AS m (mark, epoch) VALUES ($1, $2)
			ON CONFLICT (one) DO UPDATE SET mark = excluded.mark, epoch = CASE WHEN $3 THEN excluded.epoch ELSE m.epoch END
			RETURNING epoch`, p.window.to, epoch, p.window.all).Scan(&epoch)
	})
	switch {
	case err != nil:
		return errors.Join(failed, fmt.Errorf("end reconciliation: %w", err))
	case failed == nil && p.window.all && !p.run.DryRun:
		return p.rememberEpoch(ctx, epoch)
	}
	return failed
}

func (r *Reconciler) epochKey() string { return r.Keys.Namespace + ":epoch" }

func (r *Reconciler) rememberEpoch(ctx context.Context, epoch uuid.UUID) error {
	if err := r.Redis.Set(ctx, r.epochKey(), epoch.String(), 0).Err(); err != nil {
		return fmt.Errorf("tell Redis the epoch: %w", err)
	}
	return nil
}

// memoryLost says whether Redis does not know the word any more that it was told when everything had been compared.
func (r *Reconciler) memoryLost(ctx context.Context) (bool, error) {
	said, err := r.Redis.Get(ctx, r.epochKey()).Result()
	if err != nil && !errors.Is(err, redis.Nil) && !wrongType(err) {
		return false, fmt.Errorf("ask Redis for the epoch: %w", err)
	}
	var epoch uuid.UUID
	err = r.Postgres.QueryRow(ctx, `SELECT epoch FROM shared.reconcile_mark`).Scan(&epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the epoch: %w", err)
	}
	return said != epoch.String(), nil
}

// ranWithin says whether a run that repairs came to its end within that time.
func (r *Reconciler) ranWithin(ctx context.Context, within time.Duration) (bool, error) {
	var ran bool
	err := r.Postgres.QueryRow(ctx, `
		SELECT coalesce(max(ended_at) > now() - $1::interval, false) FROM shared.reconciliations WHERE error = '' AND NOT dry_run`, within).Scan(&ran)
	if err != nil {
		return false, fmt.Errorf("look for the last reconciliation: %w", err)
	}
	return ran, nil
}

// storeDifferences enters differences, numbered after those that are there.
func storeDifferences(ctx context.Context, db *postgres.DB, run uuid.UUID, after int64, found []Difference) error {
	n := len(found)
	if n == 0 {
		return nil
	}
	pairs, keys, inRedis, inPostgres, actions := make([]string, n), make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	for i, d := range found {
		pairs[i], keys[i], inRedis[i], inPostgres[i], actions[i] = d.Pair, d.Key, d.Redis, d.Postgres, string(d.Action)
	}
	_, err := db.Exec(ctx, `
		INSERT INTO shared.reconciliation_differences (run_id, n, pair, key, redis, postgres, action)
		SELECT $1, $2 + d.n, d.pair, d.key, d.redis, d.postgres, d.action
		FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS d(pair, key, redis, postgres, action, n)`,
		run, after, pairs, keys, inRedis, inPostgres, actions)
	if err != nil {
		return fmt.Errorf("store %d differences: %w", n, err)
	}
	return nil
}

const runColumns = `id, scope, everything, dry_run, started_at, ended_at, seconds, compared, drifted, repaired, error`

// listed is how many differences of each run a list shows.
const listed = 100

// Runs gives past runs, newest first, that are older than the one given (zero: from the newest), each with its first
// differences.
func (r *Reconciler) Runs(ctx context.Context, before uuid.UUID, limit int) ([]Run, error) {
	rows, err := r.Postgres.Query(ctx, `
		SELECT `+runColumns+` FROM shared.reconciliations WHERE $1::uuid = $2::uuid OR id < $1 ORDER BY id DESC LIMIT $3`, before, uuid.Nil, limit)
	if err != nil {
		return nil, fmt.Errorf("list reconciliations: %w", err)
	}
	at := map[uuid.UUID]int{}
	runs, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Run, error) {
		run := Run{Differences: []Difference{}}
		err := row.Scan(&run.ID, &run.Scope, &run.Everything, &run.DryRun, &run.StartedAt, &run.EndedAt, &run.Seconds, &run.Compared,
			&run.Drifted, &run.Repaired, &run.Error)
		at[run.ID] = len(at)
		return run, err
	})
	if err != nil {
		return nil, fmt.Errorf("list reconciliations: %w", err)
	}
	return runs, addDifferences(ctx, r.Postgres, runs, at)
}

func addDifferences(ctx context.Context, db *postgres.DB, runs []Run, at map[uuid.UUID]int) error {
	ids := make([]uuid.UUID, len(runs))
	for i, run := range runs {
		ids[i] = run.ID
	}
	rows, err := db.Query(ctx, `
		SELECT run_id, pair, key, redis, postgres, action FROM shared.reconciliation_differences
		WHERE run_id = ANY($1) AND n <= $2 ORDER BY run_id, n`, ids, listed)
	if err != nil {
		return fmt.Errorf("list differences: %w", err)
	}
	var id uuid.UUID
	var d Difference
	_, err = pgx.ForEachRow(rows, []any{&id, &d.Pair, &d.Key, &d.Redis, &d.Postgres, &d.Action}, func() error {
		run := &runs[at[id]]
		run.Differences = append(run.Differences, d)
		return nil
	})
	if err != nil {
		return fmt.Errorf("list differences: %w", err)
	}
	return nil
}
