package order

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

const columns = `id, customer, strategy, coalesce(hold_id, '00000000-0000-0000-0000-000000000000'),
	coalesce(cart_id, '00000000-0000-0000-0000-000000000000'), status, payment_status, inventory_status,
	coalesce(failure_reason, ''), owes_stock, owes_money, asked, total_minor, currency, payment_method, version, deadline,
	created_at, ended_at`

func scan(row pgx.CollectableRow) (*Order, error) {
	var o Order
	err := row.Scan(&o.ID, &o.Customer, &o.Strategy, &o.HoldID, &o.CartID, &o.Status, &o.Payment, &o.Inventory, &o.Reason,
		&o.OwesStock, &o.OwesMoney, &o.Asked, &o.Terms.TotalMinor, &o.Terms.Currency, &o.Terms.PaymentMethod, &o.Version, &o.Deadline,
		&o.CreatedAt, &o.EndedAt)
	return &o, err
}

// lock reads orders for a change, in key order so that two batches never wait for each other in a ring.
func lock(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]*Order, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM orders.orders WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE`, ids)
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	list, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("lock orders: %w", err)
	}
	orders := make(map[uuid.UUID]*Order, len(list))
	for _, o := range list {
		orders[o.ID] = o
	}
	for _, id := range ids {
		if orders[id] == nil {
			return nil, inbox.Unseen(ctx, tx, id)
		}
	}
	return orders, nil
}

func lockOverdue(ctx context.Context, tx pgx.Tx, limit int) ([]*Order, error) {
	rows, err := tx.Query(ctx, `SELECT `+columns+` FROM orders.orders
		WHERE ended_at IS NULL AND deadline < now() AND status IN ('CREATED', 'PROCESSING')
		ORDER BY deadline LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED`, limit)
	if err != nil {
		return nil, fmt.Errorf("lock overdue orders: %w", err)
	}
	orders, err := pgx.CollectRows(rows, scan)
	if err != nil {
		return nil, fmt.Errorf("lock overdue orders: %w", err)
	}
	return orders, nil
}

// save writes the orders that changed and says of each what it is now, and what it asks for; changed names the last fact that
// changed it.
func save(ctx context.Context, tx pgx.Tx, orders map[uuid.UUID]*Order, changed map[uuid.UUID]event.Fact, requests []event.Fact) error {
	if len(changed) == 0 {
		return nil
	}
	list := make([]*Order, 0, len(changed))
	now := clock.Now()
	for id := range changed {
		o := orders[id]
		o.advanced(now)
		list = append(list, o)
	}
	if err := update(ctx, tx, list, changed); err != nil {
		return err
	}
	facts := make([]event.Fact, len(list))
	for i, o := range list {
		facts[i] = changed[o.ID].Answer(o.Says(), o.news())
	}
	return outbox.Append(ctx, tx, append(facts, requests...)...)
}

// update writes orders at their new versions; causes names the facts behind them, where there are any. It reads the lines of those
// that have ended.
func update(ctx context.Context, tx pgx.Tx, orders []*Order, causes map[uuid.UUID]event.Fact) error {
	n := len(orders)
	ids, facts, versions := make([]uuid.UUID, n), make([]*uuid.UUID, n), make([]int64, n)
	status, payment, inventory, reasons := make([]Status, n), make([]PaymentStatus, n), make([]InventoryStatus, n), make([]Reason, n)
	owesStock, owesMoney, ended, deadlines := make([]bool, n), make([]bool, n), make([]*time.Time, n), make([]time.Time, n)
	asked := make([]event.Name, n)
	for i, o := range orders {
		ids[i], versions[i], status[i], payment[i], inventory[i] = o.ID, o.Version, o.Status, o.Payment, o.Inventory
		reasons[i], owesStock[i], owesMoney[i], ended[i], deadlines[i] = o.Reason, o.OwesStock, o.OwesMoney, o.EndedAt, o.Deadline
		asked[i] = o.Asked
		if f, heard := causes[o.ID]; heard {
			facts[i] = &f.ID
		}
	}
	rows, err := tx.Query(ctx, `
		UPDATE orders.orders o SET version = u.version, status = u.status, payment_status = u.payment,
			inventory_status = u.inventory, failure_reason = nullif(u.reason, ''), owes_stock = u.owes_stock,
			owes_money = u.owes_money, last_fact = coalesce(u.fact, o.last_fact), ended_at = u.ended_at,
			deadline = u.deadline, asked = u.asked
		FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::bool[],
			$9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::text[])
			AS u(id, version, status, payment, inventory, reason, owes_stock, owes_money, fact, ended_at, deadline, asked)
		WHERE o.id = u.id AND o.version = u.version - 1
		RETURNING o.id, CASE WHEN o.ended_at IS NOT NULL THEN (SELECT v.lines FROM orders.view v WHERE v.id = o.id) END`,
		ids, versions, status, payment, inventory, reasons, owesStock, owesMoney, facts, ended, deadlines, asked)
	if err != nil {
		return fmt.Errorf("update %d orders: %w", n, err)
	}
	written, err := pgx.CollectRows(rows, pgx.RowToStructByPos[lined])
	if err != nil {
		return fmt.Errorf("update %d orders: %w", n, err)
	}
	if len(written) != n {
		return fmt.Errorf("update %d orders: only %d were at the version that was read", n, len(written))
	}
	giveLines(orders, written)
	return nil
}

// lined is an order that was written, with its lines if it has ended.
type lined struct {
	ID    uuid.UUID
	Lines []Line
}

func giveLines(orders []*Order, written []lined) {
	lines := make(map[uuid.UUID][]Line, len(written))
	for _, w := range written {
		lines[w.ID] = w.Lines
	}
	for _, o := range orders {
		o.Lines = lines[o.ID]
	}
}

// insert writes a new order with its lines, its key and the first row of the read model, and says order.created, in one
// round trip. It answers errTwin when the key has an order already.
func insert(ctx context.Context, tx pgx.Tx, o *Order, created event.Fact, key idempotencyKey) error {
	n := len(o.Lines)
	products, quantities, prices := make([]uuid.UUID, n), make([]int64, n), make([]int64, n)
	skus, names := make([]string, n), make([]string, n)
	for i, l := range o.Lines {
		products[i], quantities[i], prices[i], skus[i], names[i] = l.ProductID, l.Quantity, l.UnitPriceMinor, l.SKU, l.Name
	}
	batch := &pgx.Batch{}
	batch.Queue(`
		INSERT INTO orders.orders (id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status,
			total_minor, currency, payment_method, deadline, created_at)
		VALUES ($1, $2, $3, nullif($4, $13::uuid), nullif($5, $13), $6, $7, $8, $9, $10, $11, $12, $14)`,
		o.ID, o.Customer, o.Strategy, o.HoldID, o.CartID, o.Status, o.Payment, o.Inventory,
		o.Terms.TotalMinor, o.Terms.Currency, o.Terms.PaymentMethod, o.Deadline, uuid.Nil, o.CreatedAt)
	batch.Queue(`
		INSERT INTO orders.idempotency_keys AS k (customer, key, fingerprint, order_id, expires_at)
		VALUES ($1, $2, $3, $4, now() + $5::interval)
		ON CONFLICT (customer, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
			created_at = now(), expires_at = excluded.expires_at
		WHERE k.expires_at < now()`, o.Customer, key.key, key.fingerprint, o.ID, key.life)
	batch.Queue(`
		INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor)
		SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])`,
		o.ID, products, skus, names, quantities, prices)
	queueView(batch, o)
	outbox.Queue(ctx, batch, created)
	return runInsert(tx.SendBatch(ctx, batch), batch.Len())
}

func runInsert(results pgx.BatchResults, n int) (err error) {
	defer func() { err = errors.Join(err, results.Close()) }()
	for i := range n {
		tag, err := results.Exec()
		if postgres.IsUnique(err, "orders_cart_id_key") {
			return errCartBought
		}
		if err != nil {
			return fmt.Errorf("insert order: %w", err)
		}
		if i == 1 && tag.RowsAffected() == 0 {
			return errTwin
		}
	}
	return nil
}

func linesOf(ctx context.Context, tx pgx.Tx, ids []uuid.UUID) (map[uuid.UUID]event.Order, error) {
	rows, err := tx.Query(ctx, `
		SELECT o.id, o.customer, coalesce(o.hold_id, $2), o.total_minor, o.currency, o.payment_method, l.product_id, l.quantity
		FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id WHERE o.id = ANY($1)`, ids, uuid.Nil)
	if err != nil {
		return nil, fmt.Errorf("lines of orders: %w", err)
	}
	orders := make(map[uuid.UUID]event.Order, len(ids))
	var id uuid.UUID
	var head event.Order
	var line event.OrderLine
	_, err = pgx.ForEachRow(rows, []any{
		&id, &head.Customer, &head.HoldID, &head.TotalMinor, &head.Currency,
		&head.PaymentMethod, &line.ProductID, &line.Quantity,
	}, func() error {
		o, seen := orders[id]
		if !seen {
			o = head
		}
		o.Lines = append(o.Lines, line)
		orders[id] = o
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("lines of orders: %w", err)
	}
	return orders, nil
}

// holdsOf gives the ids of the holds that orders have, or had.
func holdsOf(ctx context.Context, db *postgres.DB, orders []uuid.UUID) (map[uuid.UUID]uuid.UUID, error) {
	holds := make(map[uuid.UUID]uuid.UUID, len(orders))
	if len(orders) == 0 {
		return holds, nil
	}
	rows, err := db.Query(ctx, `SELECT id, hold_id FROM orders.orders WHERE id = ANY ($1) AND hold_id IS NOT NULL`, orders)
	if err != nil {
		return nil, fmt.Errorf("holds of %d orders: %w", len(orders), err)
	}
	var id, hold uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&id, &hold}, func() error { holds[id] = hold; return nil })
	if err != nil {
		return nil, fmt.Errorf("holds of %d orders: %w", len(orders), err)
	}
	return holds, nil
}

func countUnderWay(ctx context.Context, db *postgres.DB) (all, ending, unknown int64, err error) {
	err = db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE status = 'ENDING'), count(*) FILTER (WHERE payment_status = 'UNKNOWN')
		FROM orders.orders WHERE ended_at IS NULL`).Scan(&all, &ending, &unknown)
	if err != nil {
		return 0, 0, 0, fmt.Errorf("count orders under way: %w", err)
	}
	return all, ending, unknown, nil
}
