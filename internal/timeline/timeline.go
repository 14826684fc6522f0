// Package timeline tells what happened to an order: every fact, what each module did with it, calls to the payment provider,
// stock movements, repairs and dead letters, in order. It reads what outbox, inboxes, attempts and ledgers still keep, changes
// nothing, and owns no table. One statement tells a page, and finds every row by an index.
//
//	timeline.go  what is told, and asking for it
//	query.go     the statement
//	http.go      the route
package timeline

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// Entry is one thing that happened.
type Entry struct {
	At     time.Time       `json:"at" format:"date-time"`
	Kind   string          `json:"kind" enums:"fact,handled,provider,stock,repair,dead_letter,waiting,operator"`
	Module string          `json:"module" example:"inventory"` // who said, heard or did it
	Name   string          `json:"name" example:"stock.reserved"`
	FactID *uuid.UUID      `json:"fact_id" format:"uuid" extensions:"x-nullable"` // the fact itself, the one that was heard, or the one that led to it
	Detail json.RawMessage `json:"detail" swaggertype:"object"`                   // see docs/events.md
}

// Position is where a page begins: after an entry.
type Position struct {
	At   time.Time `json:"at"`
	Fact uuid.UUID `json:"fact"`
	Rank int32     `json:"rank"`
	Key  string    `json:"key"`
}

// Reader reads timelines.
type Reader struct {
	db *postgres.DB
	// the tables of all strategies: at each place a module, a strategy, a fact that it hears there, and its verb
	modules, strategies, facts, verbs []string
}

// New makes a reader. does gives the verb of each row of the strategies' tables, by "<module> <strategy>.<fact>".
func New(db *postgres.DB, does map[string]string) *Reader {
	r := &Reader{db: db}
	for _, row := range slices.Sorted(maps.Keys(does)) {
		module, key, _ := strings.Cut(row, " ")
		strategy, fact, _ := strings.Cut(key, ".")
		r.modules, r.strategies = append(r.modules, module), append(r.strategies, strategy)
		r.facts, r.verbs = append(r.facts, fact), append(r.verbs, does[row])
	}
	return r
}

// Read gives up to limit entries of a customer's order, oldest first, from after a position on, and where the last of them stands.
// Another's order is not found.
func (r *Reader) Read(ctx context.Context, customer string, order uuid.UUID, after Position, limit int) ([]Entry, []Position, error) {
	rows, err := r.db.Query(ctx, query, order, customer, after.At, after.Fact, after.Rank, after.Key, limit,
		r.modules, r.strategies, r.facts, r.verbs)
	if err != nil {
		return nil, nil, fmt.Errorf("timeline of order %s: %w", order, err)
	}
	found := false
	var entries []Entry
	var positions []Position
	var at *time.Time // null when the order has nothing to tell from there on
	var e Entry
	var p Position
	_, err = pgx.ForEachRow(rows, []any{&at, &p.Fact, &p.Rank, &p.Key, &e.Kind, &e.Module, &e.Name, &e.Detail}, func() error {
		found = true
		if at == nil {
			return nil
		}
		e.At, p.At, e.FactID = at.UTC(), at.UTC(), nil
		if p.Fact != uuid.Nil {
			id := p.Fact
			e.FactID = &id
		}
		e.Detail = slices.Clone(e.Detail)
		entries, positions = append(entries, e), append(positions, p)
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("timeline of order %s: %w", order, err)
	}
	if !found {
		return nil, nil, r.nothing(ctx, customer, order)
	}
	return entries, positions, nil
}

// nothing says why there is nothing to tell of an order.
func (r *Reader) nothing(ctx context.Context, customer string, order uuid.UUID) error {
	var archived bool
	err := r.db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM orders.archived WHERE id = $1 AND customer = $2)`, order, customer).Scan(&archived)
	switch {
	case err != nil:
		return fmt.Errorf("timeline of order %s: %w", order, err)
	case archived:
		return fault.New(fault.Archived, "The order was archived, and its month is gone from the archive.")
	}
	return fault.New(fault.NotFound, "There is no such order.")
}
