package order

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// liveHolds looks at the next orders under way, by id. Those that hold nothing of the products come as rows without a line, so that it
// is known how far it has looked.
func liveHolds(ctx context.Context, db *postgres.DB, products []uuid.UUID, after uuid.UUID, most int) (holds []Hold, end uuid.UUID, more bool, err error) {
	rows, err := db.Query(ctx, `
		SELECT o.id, o.customer, coalesce(o.hold_id, $2), coalesce(l.product_id, $2), coalesce(l.quantity, 0), greatest(o.deadline, now()) + $3::interval
		FROM (
			SELECT id, customer, hold_id, deadline, hold_id IS NOT NULL AND inventory_status = 'NOT_STARTED' AS holds
			FROM orders.orders WHERE ended_at IS NULL AND id > $4 ORDER BY id LIMIT $5
		) o
		LEFT JOIN LATERAL (
			SELECT product_id, quantity FROM orders.lines WHERE o.holds AND order_id = o.id AND product_id = ANY ($1) OFFSET 0 -- by its key
		) l ON true
		ORDER BY o.id`, products, uuid.Nil, holdMargin, after, most)
	if err != nil {
		return nil, end, false, fmt.Errorf("live holds of orders: %w", err)
	}
	looked := 0
	var h Hold
	_, err = pgx.ForEachRow(rows, []any{&h.OrderID, &h.Customer, &h.HoldID, &h.ProductID, &h.Quantity, &h.ExpiresAt}, func() error {
		if h.OrderID != end {
			looked++
		}
		end = h.OrderID
		if h.Quantity > 0 {
			holds = append(holds, h)
		}
		return nil
	})
	if err != nil {
		return nil, end, false, fmt.Errorf("live holds of orders: %w", err)
	}
	return holds, end, looked == most, nil
}

// holdsOfOne gives what orders under way hold of products under one id.
func holdsOfOne(ctx context.Context, db *postgres.DB, holdID uuid.UUID, products []uuid.UUID) ([]Hold, error) {
	rows, err := db.Query(ctx, `
		SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, greatest(o.deadline, now()) + $3::interval
		FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
		WHERE o.hold_id = $1 AND o.ended_at IS NULL AND o.inventory_status = 'NOT_STARTED' AND l.product_id = ANY ($2)`, holdID, products, holdMargin)
	if err != nil {
		return nil, fmt.Errorf("orders of hold %s: %w", holdID, err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Hold])
	if err != nil {
		return nil, fmt.Errorf("orders of hold %s: %w", holdID, err)
	}
	return holds, nil
}
