package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Month is what was archived of the orders that ended in it.
type Month struct {
	Month  time.Time `json:"month"`
	Orders int64     `json:"orders"` // in all
	Gone   int64     `json:"gone"`   // of these, dropped with their partition
	Table  string    `json:"table"`  // the partition; empty: it was dropped, or is detached
	Bytes  int64     `json:"bytes"`
}

// place says whether a month has its partition.
type place struct{ attached, detached bool }

// monthLayout is of the partitions' names.
const monthLayout = "orders_200601"

// places finds the partitions, and tables that were some.
func places(ctx context.Context, db *postgres.DB) (map[time.Time]place, error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname, i.inhrelid IS NOT NULL AND NOT i.inhdetachpending FROM pg_class c
		LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'archive.orders'::regclass
		WHERE c.relnamespace = 'archive'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^orders_[0-9]{6}$'`)
	if err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	found := map[time.Time]place{}
	var name string
	var attached bool
	if _, err := pgx.ForEachRow(rows, []any{&name, &attached}, func() error {
		month, err := time.Parse(monthLayout, name)
		found[month] = place{attached: attached, detached: !attached}
		return err
	}); err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	return found, nil
}

// makeMonth makes a month's partition apart and attaches it, which makes neither readers nor writers wait. A month that had one before,
// which was dropped, begins with no documents again.
func (a *archiver) makeMonth(ctx context.Context, month time.Time) error {
	if err := a.db.InTx(ctx, func(pgx.Tx) error { return nil }); err != nil { // asks the context's fence
		return err
	}
	conn, err := a.db.Connect(ctx, map[string]string{"lock_timeout": "1s"}) // as the owner of the tables, past any pooler
	if err != nil {
		return fmt.Errorf("make month: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	name, day := month.Format(monthLayout), month.Format(time.DateOnly)
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		for _, sql := range []string{
			`CREATE TABLE archive.` + name + ` (LIKE archive.orders INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)`,
			`ALTER TABLE archive.orders ATTACH PARTITION archive.` + name + ` FOR VALUES IN ('` + day + `')`,
			`INSERT INTO archive.months AS m (month) VALUES ('` + day + `') ON CONFLICT (month) DO UPDATE SET gone = m.orders, documents = 0`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make month %s: %w", name, err)
	}
	a.months[month] = place{attached: true}
	failpoint.Reach("archive month made")
	return nil
}

// List tells which months were archived, and which of them are still there.
func List(ctx context.Context, db *postgres.DB) ([]Month, error) {
	rows, err := db.Query(ctx, `
		SELECT m.month, m.orders, CASE WHEN i.inhrelid IS NULL THEN m.orders ELSE m.gone END,
			CASE WHEN i.inhrelid IS NULL THEN '' ELSE 'archive.' || c.relname END,
			CASE WHEN i.inhrelid IS NULL THEN 0 ELSE pg_total_relation_size(c.oid) END
		FROM archive.months m
		LEFT JOIN pg_class c ON c.relnamespace = 'archive'::regnamespace AND c.relname = to_char(m.month, '"orders_"YYYYMM')
		LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'archive.orders'::regclass
		ORDER BY m.month`)
	if err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	months, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Month])
	if err != nil {
		return nil, fmt.Errorf("list months: %w", err)
	}
	return months, nil
}
