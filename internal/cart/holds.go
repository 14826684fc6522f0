package cart

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// LiveHold is what a cart holds of a product, as its rows say.
type LiveHold struct {
	CartID    uuid.UUID // the hold's id
	ProductID uuid.UUID
	Quantity  int64
	ExpiresAt time.Time
}

// LiveHolds gives what open carts that have not expired hold of these products, for a shelf that has to be filled again.
func (s *Service) LiveHolds(ctx context.Context, productIDs []uuid.UUID) ([]LiveHold, error) {
	rows, err := s.db.Query(ctx, `
SELECT l.cart_id, l.product_id, l.quantity, c.expires_at
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

// Copy is what the copy of a cart in Redis ought to say.
type Copy struct {
	CartID    uuid.UUID
	Turn      int64               // the copy's version; 0: there ought to be none
	ExpiresAt time.Time           // the cart's expiry; a copy whose cart has expired is not made again
	Lines     map[uuid.UUID]int64 // quantity by product
}

// Changed gives a page of the carts that were changed from one time until just before another, by time: the first limit after
// the position of the last cart of the page before (zero for the first page). An infinite past is the zero time.
func (s *Service) Changed(ctx context.Context, from, to time.Time, after ChangedCart, limit int) ([]ChangedCart, error) {
	if after.At.Before(from) {
		after = ChangedCart{At: from}
	}
	rows, err := s.db.Query(ctx, `
SELECT changed_at, id FROM cart.carts
WHERE (changed_at, id) > ($1, $2) AND changed_at < $3
ORDER BY changed_at, id LIMIT $4`, after.At, after.CartID, to, limit)
	if err != nil {
		return nil, fmt.Errorf("page changed carts: %w", err)
	}
	page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[ChangedCart])
	if err != nil {
		return nil, fmt.Errorf("page changed carts: %w", err)
	}
	return page, nil
}

// ChangedCart is a cart's place in the order of changes.
type ChangedCart struct {
	At     time.Time
	CartID uuid.UUID
}

// Copies gives what the copies of these carts ought to say, by cart. Carts that are closed or empty, or that are not there,
// ought to have none.
func (s *Service) Copies(ctx context.Context, cartIDs []uuid.UUID) (map[uuid.UUID]Copy, error) {
	rows, err := s.db.Query(ctx, `
SELECT c.id, c.turn, c.expires_at, l.product_id, l.quantity
FROM cart.carts c JOIN cart.lines l ON l.cart_id = c.id
WHERE c.id = ANY ($1) AND c.state = 'OPEN'`, cartIDs)
	if err != nil {
		return nil, fmt.Errorf("read carts to compare: %w", err)
	}
	ought := make(map[uuid.UUID]Copy, len(cartIDs))
	for _, id := range cartIDs {
		ought[id] = Copy{CartID: id}
	}
	var c Copy
	var productID uuid.UUID
	var quantity int64
	_, err = pgx.ForEachRow(rows, []any{&c.CartID, &c.Turn, &c.ExpiresAt, &productID, &quantity}, func() error {
		one := ought[c.CartID]
		if one.Lines == nil {
			one = Copy{CartID: c.CartID, Turn: c.Turn, ExpiresAt: c.ExpiresAt, Lines: map[uuid.UUID]int64{}}
		}
		one.Lines[productID] = quantity
		ought[c.CartID] = one
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read carts to compare: %w", err)
	}
	return ought, nil
}
