// Package archive moves orders that ended long ago out of the tables that the shop works on, into a partition for each month of
// their end. An order goes as a whole, in one transaction: its rows of orders, inventory and payment become one document. What
// must be known of it for good stays: whose it was, what the provider knows its money by, and what it took of each product.
//
//	archive.go  Run: page by page, in steps
//	judge.go    which orders may go, and why others stay
//	move.go     how an order goes
//	restore.go  how it comes back
//	months.go   the partitions
package archive

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// defaultStep is how many orders a transaction moves at most.
const defaultStep = 500

// Options say what is to go.
type Options struct {
	OlderThan time.Duration // since they ended
	DryRun    bool          // only say what would go
	Step      int           // orders in a transaction; 500 when 0
	Log       *slog.Logger
}

// Result is what a run came to.
type Result struct {
	DryRun bool             `json:"dry_run"`
	Before time.Time        `json:"before"` // orders that ended before it were looked at
	Moved  int64            `json:"moved"`  // or would be
	Kept   map[string]int64 `json:"kept"`   // orders of that age that stay, by the reason
	Months []Month          `json:"months"`
}

// archiver is one run.
type archiver struct {
	Options
	db     *postgres.DB
	months map[time.Time]place
	result Result
}

// Run moves what is old enough. The context carries the fence of the lease `archive`, unless it is a dry run. What has been moved
// stays moved when the run ends early, and the next one goes on with the rest.
func Run(ctx context.Context, db *postgres.DB, o Options) (Result, error) {
	if o.Step == 0 {
		o.Step = defaultStep
	}
	a := &archiver{Options: o, db: db, result: Result{DryRun: o.DryRun, Kept: map[string]int64{}}}
	err := a.run(ctx)
	if err == nil {
		a.result.Months, err = List(ctx, db)
	}
	if err != nil {
		return a.result, fmt.Errorf("archive: %w", err)
	}
	return a.result, nil
}

func (a *archiver) run(ctx context.Context) (err error) {
	if a.result.Before, err = cutoff(ctx, a.db, a.OlderThan); err != nil {
		return err
	}
	if a.months, err = places(ctx, a.db); err != nil {
		return err
	}
	for after := uuid.Nil; ; {
		ids, young, err := a.page(ctx, after)
		if err != nil {
			return err
		}
		if err := a.step(ctx, ids); err != nil {
			return err
		}
		if young || len(ids) < a.Step {
			return nil
		}
		after = ids[len(ids)-1]
	}
}

// cutoff is the moment before which orders that go have ended: so long ago, and before the oldest fact that an inbox still knows,
// so that no fact of them can have an effect any more.
func cutoff(ctx context.Context, db *postgres.DB, age time.Duration) (before time.Time, err error) {
	err = db.QueryRow(ctx, `
		SELECT least(now() - $1::interval, (SELECT to_timestamp(min(substr(c.relname, 7)), 'YYYYMMDD') - interval '1 hour'
			FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.inbox'::regclass))`, age).Scan(&before)
	if err != nil {
		return before, fmt.Errorf("look how far back inboxes go: %w", err)
	}
	return before, nil
}

// page gives the next orders by id, which is by the time at which they were made; young says that all later ones are too young to have
// ended in time.
func (a *archiver) page(ctx context.Context, after uuid.UUID) (ids []uuid.UUID, young bool, err error) {
	rows, err := a.db.Query(ctx, `SELECT id, created_at >= $3 FROM orders.orders WHERE id > $1 ORDER BY id LIMIT $2`, after, a.Step, a.result.Before)
	if err != nil {
		return nil, false, fmt.Errorf("read orders: %w", err)
	}
	var id uuid.UUID
	if _, err := pgx.ForEachRow(rows, []any{&id, &young}, func() error { ids = append(ids, id); return nil }); err != nil {
		return nil, false, fmt.Errorf("read orders: %w", err)
	}
	return ids, young, nil
}

// step moves those of a page that may go. They are judged twice: first to know which months are needed, then under their locks.
func (a *archiver) step(ctx context.Context, ids []uuid.UUID) error {
	judged, err := judge(ctx, a.db, ids, a.result.Before)
	if err != nil {
		return err
	}
	var going []uuid.UUID
	for _, o := range judged {
		if o.Why == "" && a.months[o.Month].detached {
			o.Why = "its month's table is detached: attach it or drop it"
		}
		if o.Why != "" {
			a.result.Kept[o.Why]++
			continue
		}
		going = append(going, o.ID)
		if !a.DryRun && !a.months[o.Month].attached {
			if err := a.makeMonth(ctx, o.Month); err != nil {
				return err
			}
		}
	}
	if a.DryRun || len(going) == 0 {
		a.result.Moved += int64(len(going))
		return nil
	}
	moved, err := move(ctx, a.db, going, a.result.Before)
	if err != nil {
		return err
	}
	a.result.Moved += int64(moved)
	a.Log.InfoContext(ctx, "orders were archived", "orders", moved, "in_all", a.result.Moved, "up_to", slices.MaxFunc(going, compareIDs))
	return nil
}

func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
