package inventory

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// claim writes the first word on orders that have none, in the state given, and gives those orders. It waits for whoever is
// doing the same.
func claim(ctx context.Context, tx pgx.Tx, state string, list []ask) (map[uuid.UUID]bool, error) {
	orders, facts := make([]uuid.UUID, len(list)), make([]uuid.UUID, len(list))
	for i, a := range list {
		orders[i], facts[i] = a.fact.OrderID, a.fact.ID
	}
	rows, err := tx.Query(ctx, `
		INSERT INTO inventory.reservations (order_id, state, decided_by)
		SELECT order_id, $1, fact_id FROM unnest($2::uuid[], $3::uuid[]) AS a(order_id, fact_id)
		ORDER BY order_id
		ON CONFLICT DO NOTHING
		RETURNING order_id`, state, orders, facts)
	if err != nil {
		return nil, fmt.Errorf("claim %d orders: %w", len(list), err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, fmt.Errorf("claim %d orders: %w", len(list), err)
	}
	claimed := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		claimed[id] = true
	}
	return claimed, nil
}

// lockReserved locks those of the orders that are RESERVED, but for the ones to leave out, and gives their lines.
func lockReserved(ctx context.Context, tx pgx.Tx, list []ask, leaveOut map[uuid.UUID]bool) (map[uuid.UUID][]event.OrderLine, error) {
	var ids []uuid.UUID
	for _, a := range list {
		if !leaveOut[a.fact.OrderID] {
			ids = append(ids, a.fact.OrderID)
		}
	}
	if ids == nil {
		return nil, nil
	}
	rows, err := tx.Query(ctx, `
		WITH held AS MATERIALIZED (
			SELECT order_id FROM inventory.reservations
			WHERE order_id = ANY ($1) AND state = 'RESERVED' ORDER BY order_id FOR NO KEY UPDATE
		)
		SELECT order_id, product_id, quantity FROM held JOIN inventory.reservation_lines USING (order_id)`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock reservations of %d orders: %w", len(ids), err)
	}
	held := map[uuid.UUID][]event.OrderLine{}
	var order uuid.UUID
	var line event.OrderLine
	_, err = pgx.ForEachRow(rows, []any{&order, &line.ProductID, &line.Quantity}, func() error {
		held[order] = append(held[order], line)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lock reservations of %d orders: %w", len(ids), err)
	}
	return held, nil
}

// lockBooks locks stock rows by id. Products without a row are left out.
func lockBooks(ctx context.Context, tx pgx.Tx, sorted []uuid.UUID) (*Books, error) {
	if len(sorted) == 0 {
		return openBooks(nil), nil
	}
	rows, err := tx.Query(ctx, `
		SELECT product_id, available, allocated, version FROM inventory.stock
		WHERE product_id = ANY ($1) ORDER BY product_id FOR NO KEY UPDATE`, sorted)
	if err != nil {
		return nil, fmt.Errorf("lock stock of %d products: %w", len(sorted), err)
	}
	stock, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Stock])
	if err != nil {
		return nil, fmt.Errorf("lock stock of %d products: %w", len(sorted), err)
	}
	return openBooks(stock), nil
}

// posting is what a verb has decided, beside what it did to the books.
type posting struct {
	inLanes  []laneAsk   // parts of orders whose lines are taken now
	taken    []ask       // orders whose lines are RESERVED now
	failed   []uuid.UUID // orders that were claimed and are out of stock
	returned []ask       // orders that were RESERVED and have given all back
	facts    []event.Fact
}

// post writes it all in one round trip.
func post(ctx context.Context, tx pgx.Tx, books *Books, done posting) error {
	batch := &pgx.Batch{}
	queueStock(batch, books)
	queueMovements(batch, books.movements)
	queueCuts(batch, books.movements)
	queueReservations(batch, done)
	queueLaneLines(batch, done.inLanes)
	outbox.Queue(ctx, batch, done.facts...)
	if batch.Len() == 0 {
		return nil
	}
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("post %d movements: %w", len(books.movements), err)
	}
	return nil
}

// queueStock writes one change for each row, guarded by the version that was read. The lock makes the guard hold; it stands
// for the day when the lock is lost.
func queueStock(batch *pgx.Batch, books *Books) {
	rows := books.changed()
	if len(rows) == 0 {
		return
	}
	ids, was := make([]uuid.UUID, len(rows)), make([]int64, len(rows))
	available, allocated, version := make([]int64, len(rows)), make([]int64, len(rows)), make([]int64, len(rows))
	for i, s := range rows {
		ids[i], was[i], available[i], allocated[i], version[i] = s.ProductID, books.opened[s.ProductID], s.Available, s.Allocated, s.Version
	}
	batch.Queue(`
		UPDATE inventory.stock s SET available = n.available, allocated = n.allocated, version = n.version, changed_at = now()
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n(product_id, was, available, allocated, version)
		WHERE s.product_id = n.product_id AND s.version = n.was`, ids, was, available, allocated, version).Exec(func(tag pgconn.CommandTag) error {
		if tag.RowsAffected() != int64(len(rows)) {
			return fmt.Errorf("stock of %d products was changed under its lock", int64(len(rows))-tag.RowsAffected())
		}
		return nil
	})
}

func queueMovements(batch *pgx.Batch, movements []Movement) {
	n := len(movements)
	if n == 0 {
		return
	}
	products, ids, orders, facts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	kinds, reasons, quantities, balances := make([]string, n), make([]string, n), make([]int64, n), make([]int64, n)
	for i, m := range movements {
		products[i], ids[i], orders[i], facts[i] = m.ProductID, m.ID, m.OrderID, m.FactID
		kinds[i], reasons[i], quantities[i], balances[i] = m.Kind, m.Reason, m.Quantity, m.Balance
	}
	batch.Queue(`
		INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, reason)
		SELECT product_id, id, kind, quantity, balance, nullif(order_id, $9), fact_id, reason
		FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[], $7::uuid[], $8::text[])
		     AS m(product_id, id, kind, quantity, balance, order_id, fact_id, reason)`,
		products, ids, kinds, quantities, balances, orders, facts, reasons, uuid.Nil)
}

// queueCuts notes which products operators have taken units of, for carts that hold some.
func queueCuts(batch *pgx.Batch, movements []Movement) {
	var products []uuid.UUID
	for _, m := range movements {
		if m.Kind == Adjust {
			products = append(products, m.ProductID)
		}
	}
	if products != nil {
		batch.Queue(`UPDATE inventory.products SET cut_at = now() WHERE id = ANY ($1)`, products)
	}
}

func queueReservations(batch *pgx.Batch, done posting) {
	if len(done.failed) > 0 {
		batch.Queue(`UPDATE inventory.reservations SET state = 'OUT_OF_STOCK' WHERE order_id = ANY ($1)`, done.failed)
	}
	if len(done.taken) > 0 {
		var orders, products []uuid.UUID
		var quantities []int64
		for _, a := range done.taken {
			for _, l := range a.Lines {
				orders, products, quantities = append(orders, a.fact.OrderID), append(products, l.ProductID), append(quantities, l.Quantity)
			}
		}
		batch.Queue(`
			INSERT INTO inventory.reservation_lines (order_id, product_id, quantity)
			SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])`, orders, products, quantities)
	}
	if len(done.returned) > 0 {
		orders, facts := make([]uuid.UUID, len(done.returned)), make([]uuid.UUID, len(done.returned))
		for i, a := range done.returned {
			orders[i], facts[i] = a.fact.OrderID, a.fact.ID
		}
		batch.Queue(`
			UPDATE inventory.reservations r SET state = 'RELEASED', released_by = a.fact_id, released_at = now()
			FROM unnest($1::uuid[], $2::uuid[]) AS a(order_id, fact_id) WHERE r.order_id = a.order_id`, orders, facts)
	}
}
