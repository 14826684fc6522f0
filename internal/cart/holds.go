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

// LiveHolds gives what open carts that have not expired hold of these products, for a shelf that has to be filled again.
func (s *Service) LiveHolds(ctx context.Context, productIDs []uuid.UUID) ([]LiveHold, error) {
	rows, err := s.db.Query(ctx, `
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
WHERE l.product_id = ANY ($1) AND l.held AND c.state = 'OPEN' AND c.expires_at > now()
ORDER BY l.product_id, l.cart_id`, productIDs)
	if err != nil {
		return nil, fmt.Errorf("read live holds of carts: %w", err)
	}
	holds, err := pgx.CollectRows(rows, pgx.RowToStructByPos[LiveHold])
	if err != nil {
		return nil, fmt.Errorf("read live holds of carts: %w", err)
	}
	return holds, nil
}

// HoldOf gives what the customer's open cart holds of a product; zero where it holds nothing.
func (s *Service) HoldOf(ctx context.Context, customer string, productID uuid.UUID) (hold LiveHold, err error) {
	err = s.db.QueryRow(ctx, `
SELECT l.cart_id, c.customer, l.product_id, l.quantity, c.expires_at
FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id
WHERE c.customer = $1 AND c.state = 'OPEN' AND c.expires_at > now() AND l.product_id = $2 AND l.held`, customer, productID).
		Scan(&hold.CartID, &hold.Customer, &hold.ProductID, &hold.Quantity, &hold.ExpiresAt)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return hold, fmt.Errorf("read hold of a cart: %w", err)
	}
	return hold, nil
}
