package app

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Where Postgres believes that tables are empty, as after an ANALYZE of a new database, no row that is written has it read a table
// whole, as the check of a foreign key does, once for each row.
func TestNoRowHasATableReadWhole(t *testing.T) {
	t.Parallel()
	s := newStage(t, saga.Optimistic)
	for _, sql := range []string{`
		DO $$ DECLARE c regclass; BEGIN
			FOR c IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace IN (SELECT oid FROM pg_namespace WHERE nspname IN ('orders', 'inventory', 'payment', 'cart')) LOOP
				EXECUTE 'ALTER TABLE ' || c || ' SET (autovacuum_enabled = off)';
			END LOOP;
		END $$`, `ANALYZE`} {
		if _, err := s.db.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	const orders = 200
	before := s.scans()
	for range 2 {
		actors := make([]actor, orders/2)
		for i := range actors {
			actors[i].method = "pm_ok"
			s.place(&actors[i], s.plenty[i%4], s.plenty[(i+1)%4])
		}
		s.play(nil, inOrder{})
	}
	var after map[string]int64
	testkit.Eventually(t, time.Minute, func() error {
		if after = s.scans(); after["lines written"] < 2*orders {
			return fmt.Errorf("%d lines are counted", after["lines written"])
		}
		return nil
	})
	for _, table := range []string{"orders.orders", "inventory.reservations"} {
		if n := after[table] - before[table]; n >= 2*orders { // a statement of a batch may read what Postgres believes to be empty
			t.Errorf("%s was read whole %d times for %d lines", table, n, 2*orders)
		}
	}
}

// scans is how often tables were read whole, as far as connections have told.
func (s *stage) scans() map[string]int64 {
	s.Helper()
	rows, err := s.db.Query(s.Context(), `
		SELECT schemaname || '.' || relname, coalesce(seq_scan, 0) FROM pg_stat_user_tables
		UNION ALL SELECT 'lines written', n_tup_ins FROM pg_stat_user_tables WHERE relid = 'inventory.reservation_lines'::regclass`)
	if err != nil {
		s.Fatal(err)
	}
	scans := map[string]int64{}
	var table string
	var n int64
	if _, err := pgx.ForEachRow(rows, []any{&table, &n}, func() error { scans[table] = n; return nil }); err != nil {
		s.Fatal(err)
	}
	return scans
}

// The foreign keys that there are, and why: the auditor proves what others would.
func TestForeignKeys(t *testing.T) {
	t.Parallel()
	rows, err := testkit.New(t).DB.Query(t.Context(), `
		SELECT conrelid::regclass || ' of ' || confrelid::regclass FROM pg_constraint WHERE contype = 'f' AND conparentid = 0 ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"payment.orphan_acts of payment.orphans",                      // few, and of faults alone
		"shared.reconciliation_differences of shared.reconciliations", // few, and they go together
	}
	if diff := cmp.Diff(want, there); diff != "" {
		t.Errorf("(-known +there):\n%s", diff)
	}
}
