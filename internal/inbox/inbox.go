// Package inbox is the only way in which a fact enters a module: it remembers what was heard, in the transaction of its
// effects, so that a fact has its effect once however often it comes.
package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// ErrTooOld says that a fact's id lies before the oldest partition (or past the newest): whether it was heard cannot be known
// any more, so it must not be done.
var ErrTooOld = errors.New("inbox: the fact lies outside the inbox's retention")

const insert = `
	INSERT INTO shared.inbox (module, fact_id, name, order_id)
	SELECT $1, id, name, nullif(order_id, $5)
	FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS f(id, name, order_id)
	ORDER BY id
	ON CONFLICT DO NOTHING
	RETURNING fact_id`

// noPartition is the SQLSTATE of a row that fits no partition (check_violation).
const noPartition = "23514"

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
	if postgres.Code(err) == noPartition {
		return nil, fmt.Errorf("inbox %s: %d facts from %s: %w", module, len(facts), ids[0], ErrTooOld)
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
