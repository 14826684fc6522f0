package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// aged are rows of tables of which n are made, each so long ago, and how old they become. What they hang on is old, too.
var aged = []struct {
	table, insert string // $1 rows, $2 ago
	end           time.Duration
}{
	{"payment.attempts", `INSERT INTO payment.attempts (order_id, claim, n, call, ms, at)
		SELECT gen_random_uuid(), 1, 1, 'charge', 1, now() - $2::interval FROM generate_series(1, $1)`, 7 * 24 * time.Hour},
	{"shared.hearings", `INSERT INTO shared.hearings (module, fact_id, begun, at)
		SELECT 'order', gen_random_uuid(), 1, now() - $2::interval FROM generate_series(1, $1)`, 7 * 24 * time.Hour},
	{"shared.reconciliations", `INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, started_at)
		SELECT gen_random_uuid(), 'delta', false, false, 1, now() - $2::interval FROM generate_series(1, $1)`, 30 * 24 * time.Hour},
	{"shared.reconciliation_differences", `
		WITH run AS (INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, started_at)
			VALUES (gen_random_uuid(), 'full', true, false, 1, now() - $2::interval) RETURNING id)
		INSERT INTO shared.reconciliation_differences (run_id, n, pair, key, redis, postgres, action, at)
		SELECT id, n, 'stock', 'k', '', '', 'left', now() - $2::interval FROM run, generate_series(1, $1) n`, 30 * 24 * time.Hour},
	{"shared.dead_letters", `INSERT INTO shared.dead_letters (id, module, reason, name, attempts, body, at, replayed_at, replayed_by)
		SELECT gen_random_uuid(), 'order', 'exhausted', 'x', 1, '', now() - $2::interval, now() - $2::interval, 'ann'
		FROM generate_series(1, $1)`, 30 * 24 * time.Hour},
	{"shared.dead_letter_log", `INSERT INTO shared.dead_letter_log (id, letter_id, module, name, action, by, result, at)
		SELECT gen_random_uuid(), gen_random_uuid(), 'order', 'x', 'delete', 'ann', 'deleted', now() - $2::interval
		FROM generate_series(1, $1)`, 30 * 24 * time.Hour},
}

// Rows that have had their time end, and no others, and no statement takes more than 1,000 of them, also not by a foreign key.
func TestOldRowsEndInSteps(t *testing.T) {
	t.Parallel()
	s := newStageWithoutCharger(t, saga.Optimistic, false)
	s.cfg.OutboxRetention, s.cfg.InboxRetention, s.cfg.DeadLetterRetention = 24*time.Hour, 7*24*time.Hour, 30*24*time.Hour
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := s.db.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec(`CREATE TABLE public.taken (of text, rows bigint)`)
	exec(`CREATE FUNCTION public.note_taken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		INSERT INTO public.taken SELECT TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, count(*) FROM gone; RETURN NULL; END $$`)
	const old, young = 2100, 3
	for _, a := range aged {
		exec(`CREATE TRIGGER taken AFTER DELETE ON ` + a.table + ` REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.note_taken()`)
		exec(a.insert, old, a.end+time.Minute)
		exec(a.insert, young, a.end-time.Minute)
	}
	if err := s.endRows(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range aged {
		var left, taken, most int64
		err := s.db.QueryRow(t.Context(), fmt.Sprintf(`
			SELECT (SELECT count(*) FROM %s), coalesce(sum(rows), 0), coalesce(max(rows), 0) FROM public.taken WHERE of = '%[1]s'`, a.table)).
			Scan(&left, &taken, &most)
		if err != nil {
			t.Fatal(err)
		}
		want := int64(young)
		if a.table == "shared.reconciliations" {
			want++ // that of the young differences
		}
		if left != want || taken < old || most > 1000 {
			t.Errorf("%s: %d rows are left of %d old and %d young ones, %d were taken, at most %d at once", a.table, left, old, want, taken, most)
		}
	}
}
