// Package outbox is the only way in which a fact leaves a module: a row in shared.outbox, written in the transaction that
// the fact reports. A relay publishes the rows; nothing updates or deletes them one by one.
package outbox

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

const insert = `
	INSERT INTO shared.outbox (id, name, strategy, order_id, cause, part, body)
	SELECT id, name, strategy, nullif(order_id, $8), nullif(cause, $8), part, body
	FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::bytea[])
	     AS f(id, name, strategy, order_id, cause, part, body)`

// Append says facts, in order, when tx commits.
func Append(ctx context.Context, tx pgx.Tx, facts ...event.Fact) error {
	if len(facts) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, insert, columns(facts)...); err != nil {
		return fmt.Errorf("outbox: append %d facts: %w", len(facts), err)
	}
	overheard(ctx, facts)
	return nil
}

// Queue puts the same insert into a batch, for callers that send several statements in one round trip.
func Queue(ctx context.Context, batch *pgx.Batch, facts ...event.Fact) {
	if len(facts) > 0 {
		batch.Queue(insert, columns(facts)...)
		overheard(ctx, facts)
	}
}

type earKey struct{}

// Overhear gives a context under which what is said is kept, and a function that takes what was said since it was last called. It
// is for one transaction and one goroutine: what is said in a transaction that is undone was not said.
func Overhear(ctx context.Context) (context.Context, func() []event.Fact) {
	said := new([]event.Fact)
	return context.WithValue(ctx, earKey{}, said), func() []event.Fact {
		facts := *said
		*said = nil
		return facts
	}
}

func overheard(ctx context.Context, facts []event.Fact) {
	if said, ok := ctx.Value(earKey{}).(*[]event.Fact); ok {
		*said = append(*said, facts...)
	}
}

func columns(facts []event.Fact) []any {
	ids, orders, causes := make([]uuid.UUID, len(facts)), make([]uuid.UUID, len(facts)), make([]uuid.UUID, len(facts))
	names, strategies, parts, bodies := make([]string, len(facts)), make([]string, len(facts)), make([]string, len(facts)), make([][]byte, len(facts))
	for i, f := range facts {
		ids[i], orders[i], causes[i] = f.ID, f.OrderID, f.Cause
		names[i], strategies[i], parts[i], bodies[i] = string(f.Name), f.Strategy, f.Part, event.Encode(f)
	}
	return []any{ids, names, strategies, orders, causes, parts, bodies, uuid.Nil}
}
