package order

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// lookedAt is how many of a customer's latest orders are looked at for what the customer has under way or has bought.
const lookedAt = 200

// HoldsOf gives what a customer's orders under way hold of a product, as far as order has heard.
func (s *Service) HoldsOf(ctx context.Context, customer string, productID uuid.UUID) ([]Hold, error) {
	rows, err := s.db.Query(ctx, `
		SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, greatest(o.deadline, now()) + $3::interval
		FROM (SELECT id FROM orders.view WHERE customer = $1 ORDER BY id DESC LIMIT $4) v
		JOIN orders.orders o USING (id) JOIN orders.lines l ON l.order_id = o.id AND l.product_id = $2
		WHERE o.ended_at IS NULL AND o.hold_id IS NOT NULL AND o.inventory_status = 'NOT_STARTED'`, customer, productID, holdMargin, lookedAt)
	if err != nil {
		return nil, fmt.Errorf("holds of a customer's orders: %w", err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Hold])
	if err != nil {
		return nil, fmt.Errorf("holds of a customer's orders: %w", err)
	}
	return holds, nil
}

// Over gives those of a customer's holds that no order under way has, and when the customer's last order of each product was
// completed; products of which none was are left out. A hold whose order is still to be made counts as over: ask only about
// those whose units the books have taken.
func (s *Service) Over(ctx context.Context, customer string, holds, products []uuid.UUID) (over []uuid.UUID, bought map[uuid.UUID]time.Time, err error) {
	rows, err := s.db.Query(ctx, `SELECT hold_id FROM orders.orders WHERE ended_at IS NULL AND hold_id = ANY ($1)`, holds)
	if err != nil {
		return nil, nil, fmt.Errorf("orders of holds: %w", err)
	}
	underWay, err := pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
	if err != nil {
		return nil, nil, fmt.Errorf("orders of holds: %w", err)
	}
	over = slices.DeleteFunc(slices.Clone(holds), func(id uuid.UUID) bool { return slices.Contains(underWay, id) })
	rows, err = s.db.Query(ctx, `
		SELECT l.product_id, max(o.ended_at) FROM (SELECT id FROM orders.view WHERE customer = $1 ORDER BY id DESC LIMIT $3) v
		JOIN orders.orders o USING (id) JOIN orders.lines l ON l.order_id = o.id AND l.product_id = ANY ($2)
		WHERE o.status = 'COMPLETED' GROUP BY 1`, customer, products, lookedAt)
	if err != nil {
		return nil, nil, fmt.Errorf("last purchases of a customer: %w", err)
	}
	bought = map[uuid.UUID]time.Time{}
	var product uuid.UUID
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&product, &at}, func() error { bought[product] = at; return nil })
	if err != nil {
		return nil, nil, fmt.Errorf("last purchases of a customer: %w", err)
	}
	return over, bought, nil
}
