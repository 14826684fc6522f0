// Package inbox is the only way in which a fact enters a module: it remembers what was heard, in the transaction of its
// effects, so that a fact has its effect once however often it comes.
package inbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// OutsideError says that there is no partition for a fact's id: it is too old, see TooOld, or the partition is missing.
type OutsideError struct {
	Module string
	Fact   uuid.UUID
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("inbox %s: there is no partition for fact %s", e.Module, e.Fact)
}

// tomorrow is how far in the future a fact's id may lie: further it is nonsense, and not ahead of its partition.
const tomorrow = 24 * time.Hour

// TooOld reports whether an error means that a fact must never be done: its id lies before the oldest partition, so that whether it
// was handled cannot be known any more, or far in the future. While it cannot be known whether it is, it is not. A partition that is
// missing above the oldest is a fault of the database's, to be waited for.
func TooOld(ctx context.Context, db *postgres.DB, err error) bool {
	var outside *OutsideError
	if !errors.As(err, &outside) {
		return false
	}
	var oldest, latest uuid.UUID
	err = db.QueryRow(ctx, `
		SELECT shared.uuid_from(to_timestamp(substr(min(c.relname), 7), 'YYYYMMDD')), shared.uuid_from(now() + $1::interval)
		FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'shared.inbox'::regclass AND NOT i.inhdetachpending HAVING count(*) > 0`, tomorrow).Scan(&oldest, &latest)
	return err == nil && (bytes.Compare(outside.Fact[:], oldest[:]) < 0 || bytes.Compare(outside.Fact[:], latest[:]) > 0)
}

const insert = `
	INSERT INTO shared.inbox (module, fact_id, name, order_id)
	SELECT $1, id, name, nullif(order_id, $5)
	FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS f(id, name, order_id)
	ORDER BY id
	ON CONFLICT DO NOTHING
	RETURNING fact_id`

// Fresh writes down that module hears facts and gives those it had not heard before, in order, each once. It is the first
// statement of the transaction of their effects: a second deliverer waits here for the first.
func Fresh(ctx context.Context, tx pgx.Tx, module string, facts []event.Fact) ([]event.Fact, error) {
	if len(facts) == 0 {
		return nil, nil
	}
	ids, orders, names := make([]uuid.UUID, len(facts)), make([]uuid.UUID, len(facts)), make([]string, len(facts))
	for i, f := range facts {
		ids[i], orders[i], names[i] = f.ID, f.OrderID, string(f.Name)
	}
	rows, err := tx.Query(ctx, insert, module, ids, names, orders, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("inbox %s: %w", module, err)
	}
	heard, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if postgres.NoPartition(err) {
		return nil, &OutsideError{module, slices.MinFunc(ids, func(a, b uuid.UUID) int { return bytes.Compare(a[:], b[:]) })}
	}
	if err != nil {
		return nil, fmt.Errorf("inbox %s: %w", module, err)
	}
	return keep(facts, heard), nil
}

func keep(facts []event.Fact, ids []uuid.UUID) []event.Fact {
	fresh := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		fresh[id] = true
	}
	kept := make([]event.Fact, 0, len(ids))
	for _, f := range facts {
		if fresh[f.ID] {
			kept = append(kept, f)
			delete(fresh, f.ID)
		}
	}
	return kept
}
