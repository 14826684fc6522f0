package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// claimGathering writes that lanes were asked for the lines of orders of which nothing was known, and gives those orders. It waits
// for whoever is doing the same.
func claimGathering(ctx context.Context, tx pgx.Tx, list []ask, asked map[uuid.UUID]map[int][]event.OrderLine) (map[uuid.UUID]bool, error) {
	orders, facts, lanes := make([]uuid.UUID, len(list)), make([]uuid.UUID, len(list)), make([]int16, len(list))
	for i, a := range list {
		orders[i], facts[i], lanes[i] = a.fact.OrderID, a.fact.ID, int16(len(asked[a.fact.OrderID]))
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO inventory.reservations (order_id, state, decided_by, lanes, open)
		SELECT order_id, 'GATHERING', fact_id, lanes, lanes FROM unnest($1::uuid[], $2::uuid[], $3::smallint[]) AS a(order_id, fact_id, lanes)
		ORDER BY order_id
		ON CONFLICT DO NOTHING
		RETURNING order_id`, orders, facts, lanes)
	if err != nil {
		return nil, fmt.Errorf("claim %d orders for lanes: %w", len(list), err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("claim %d orders for lanes: %w", len(list), err)
	}
	claimed := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		claimed[id] = true
	}
	return claimed, nil
}

// lockGatherings locks what is known of the orders. Those of which nothing is known are left out.
func lockGatherings(ctx context.Context, tx pgx.Tx, list []ask) (map[uuid.UUID]*gathering, error) {
	if len(list) == 0 {
		return nil, nil
	}
	ids := make([]uuid.UUID, len(list))
	for i, a := range list {
		ids[i] = a.fact.OrderID
	}
	rows, err := tx.Query(ctx, `
		SELECT order_id, state, coalesce(released_by, $2), open, taken, short FROM inventory.reservations
		WHERE order_id = ANY ($1) ORDER BY order_id FOR NO KEY UPDATE`, ids, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("lock %d orders in lanes: %w", len(ids), err)
	}
	orders := make(map[uuid.UUID]*gathering, len(ids))
	var id uuid.UUID
	var g gathering
	var short []byte
	_, err = pgx.ForEachRow(rows, []any{&id, &g.State, &g.GivenUp, &g.Open, &g.Taken, &short}, func() error {
		one := g
		one.Short = nil
		orders[id] = &one
		if short == nil {
			return nil
		}
		return json.Unmarshal(short, &one.Short)
	})
	if err != nil {
		return nil, fmt.Errorf("lock %d orders in lanes: %w", len(ids), err)
	}
	return orders, nil
}

// saveGatherings writes what has become of orders, and the facts that say so, in one round trip.
func saveGatherings(ctx context.Context, tx pgx.Tx, orders map[uuid.UUID]*gathering, said []event.Fact) error {
	if len(orders) == 0 {
		return nil
	}
	ids := slices.SortedFunc(maps.Keys(orders), compareIDs)
	n := len(ids)
	states, by, short := make([]string, n), make([]uuid.UUID, n), make([]*string, n)
	open, taken := make([]int16, n), make([]int16, n)
	for i, id := range ids {
		g := orders[id]
		states[i], by[i], open[i], taken[i] = g.State, g.GivenUp, int16(g.Open), int16(g.Taken)
		if g.Short != nil {
			text, err := json.Marshal(g.Short)
			if err != nil {
				return fmt.Errorf("encode what is short of order %s: %w", id, err)
			}
			list := string(text)
			short[i] = &list
		}
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		UPDATE inventory.reservations r SET state = n.state, open = n.open, taken = n.taken, short = n.short::jsonb, released_by = nullif(n.by, $7),
			released_at = CASE WHEN n.by <> $7 THEN coalesce(r.released_at, now()) END
		FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::smallint[], $5::smallint[], $6::text[]) AS n(order_id, state, by, open, taken, short)
		WHERE r.order_id = n.order_id`, ids, states, by, open, taken, short, uuid.Nil)
	outbox.Queue(ctx, batch, said...)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("save %d orders in lanes: %w", n, err)
	}
	return nil
}

// laneLines gives what lanes have taken for the orders, also what they have given back, with the stock of now.
func laneLines(ctx context.Context, tx pgx.Tx, orders []uuid.UUID) (map[uuid.UUID]laneLinesOf, error) {
	if len(orders) == 0 {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		SELECT l.order_id, l.lane, l.product_id, l.quantity, s.available, s.version
		FROM inventory.reservation_lines l JOIN inventory.stock s USING (product_id) WHERE l.order_id = ANY ($1)`, orders)
	if err != nil {
		return nil, fmt.Errorf("lines of %d orders in lanes: %w", len(orders), err)
	}
	lines := make(map[uuid.UUID]laneLinesOf, len(orders))
	var id uuid.UUID
	var line laneLine
	_, err = pgx.ForEachRow(rows, []any{&id, &line.lane, &line.ProductID, &line.Quantity, &line.Available, &line.Version}, func() error {
		lines[id] = append(lines[id], line)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lines of %d orders in lanes: %w", len(orders), err)
	}
	return lines, nil
}

// queueLaneLines writes what was taken in lanes.
func queueLaneLines(batch *pgx.Batch, parts []laneAsk) {
	if len(parts) == 0 {
		return
	}
	var orders, products []uuid.UUID
	var quantities []int64
	var lanes []int16
	for _, p := range parts {
		for _, l := range p.Lines {
			orders, products, quantities, lanes = append(orders, p.fact.OrderID), append(products, l.ProductID), append(quantities, l.Quantity), append(lanes, int16(p.Lane))
		}
	}
	batch.Queue(`
		INSERT INTO inventory.reservation_lines (order_id, product_id, quantity, lane)
		SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::smallint[])`, orders, products, quantities, lanes)
}

// returnLines writes that lanes give back what they have taken for orders, and gives the lines.
func returnLines(ctx context.Context, tx pgx.Tx, parts []laneAsk) (map[laneKey][]event.OrderLine, error) {
	orders, lanes := make([]uuid.UUID, len(parts)), make([]int16, len(parts))
	for i, p := range parts {
		orders[i], lanes[i] = p.fact.OrderID, int16(p.Lane)
	}
	rows, err := tx.Query(ctx, `
		UPDATE inventory.reservation_lines l SET returned = true
		FROM unnest($1::uuid[], $2::smallint[]) AS a(order_id, lane)
		WHERE l.order_id = a.order_id AND l.lane = a.lane AND NOT l.returned
		RETURNING l.order_id, l.lane, l.product_id, l.quantity`, orders, lanes)
	if err != nil {
		return nil, fmt.Errorf("give back in lanes of %d orders: %w", len(parts), err)
	}
	held := make(map[laneKey][]event.OrderLine, len(parts))
	var key laneKey
	var line event.OrderLine
	_, err = pgx.ForEachRow(rows, []any{&key.order, &key.lane, &line.ProductID, &line.Quantity}, func() error {
		held[key] = append(held[key], line)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("give back in lanes of %d orders: %w", len(parts), err)
	}
	return held, nil
}
