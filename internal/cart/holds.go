package cart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LiveHold is what a cart holds of a product, as its rows say.
type LiveHold struct {
	CartID    uuid.UUID // the hold's id
	Customer  string
	ProductID uuid.UUID
	Quantity  int64
	ExpiresAt time.Time
}

// LiveHolds gives what open carts that have not expired hold of these products, for a shelf that has to be filled again: of each
// product those carts that follow the one given for it, by their ids, from so many of its lines. ends has the last cart that was
// looked at of those products that have more lines.
func (s *Service) LiveHolds(ctx context.Context, productIDs, after []uuid.UUID, most int) (holds []LiveHold, ends map[uuid.UUID]uuid.UUID, err error) {
	rows, err := s.db.Query(ctx, `
SELECT p.id, l.cart_id, l.quantity, c.customer, coalesce(c.expires_at, 'epoch'), c.state = 'OPEN' AND coalesce(c.expires_at > now(), false)
FROM unnest($1::uuid[], $2::uuid[]) AS p(id, after)
CROSS JOIN LATERAL (
    SELECT cart_id, quantity FROM cart.lines WHERE product_id = p.id AND held AND cart_id > p.after ORDER BY product_id, cart_id LIMIT $3
) l
CROSS JOIN LATERAL (SELECT customer, state, expires_at FROM cart.carts WHERE id = l.cart_id OFFSET 0) c -- one by one, by its key
ORDER BY p.id, l.cart_id`, productIDs, after, most)
	if err != nil {
		return nil, nil, fmt.Errorf("read live holds of carts: %w", err)
	}
	ends, seen := map[uuid.UUID]uuid.UUID{}, map[uuid.UUID]int{}
	var h LiveHold
	var live bool
	_, err = pgx.ForEachRow(rows, []any{&h.ProductID, &h.CartID, &h.Quantity, &h.Customer, &h.ExpiresAt, &live}, func() error {
		if seen[h.ProductID]++; seen[h.ProductID] == most {
			ends[h.ProductID] = h.CartID
		}
		if live {
			holds = append(holds, h)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read live holds of carts: %w", err)
	}
	return holds, ends, nil
}

// Holds gives what one open cart that has not expired holds of these products.
func (s *Service) Holds(ctx context.Context, cartID uuid.UUID, productIDs []uuid.UUID) ([]LiveHold, error) {
	rows, err := s.db.Query(ctx, `
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id
WHERE c.id = $1 AND l.product_id = ANY ($2) AND l.held AND c.state = 'OPEN' AND c.expires_at > now()`, cartID, productIDs)
	if err != nil {
		return nil, fmt.Errorf("read holds of cart %s: %w", cartID, err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LiveHold])
	if err != nil {
		return nil, fmt.Errorf("read holds of cart %s: %w", cartID, err)
	}
	return holds, nil
}

// HoldOf gives what the customer's open cart holds of a product; zero where it holds nothing.
func (s *Service) HoldOf(ctx context.Context, customer string, productID uuid.UUID) (hold LiveHold, err error) {
	err = s.db.QueryRow(ctx, `
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.carts c
CROSS JOIN LATERAL (SELECT * FROM cart.lines WHERE cart_id = c.id AND product_id = $2 AND held OFFSET 0) l -- not by the product
WHERE c.customer = $1 AND c.state = 'OPEN' AND c.expires_at > now()`, customer, productID).
		Scan(&hold.CartID, &hold.Customer, &hold.ProductID, &hold.Quantity, &hold.ExpiresAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return hold, fmt.Errorf("read hold of a cart: %w", err)
	}
	return hold, nil
}
