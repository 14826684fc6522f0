package cart

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// ofOrder marks what an order has, as the token of a checkout marks what may become an order's. Nothing undoes it.
const ofOrder = "order"

// newToken names a checkout on the shelf.
func newToken() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// GiveUp leaves the holds of a cart as a checkout found them that has come to nothing, or of which nobody knows: the cart's row
// decides, which an order's transaction that is not over yet has locked. Whoever asked may be gone, so ctx need not be alive.
// What cannot be undone now is found by the comparison of holds and rows.
func (s *Service) GiveUp(ctx context.Context, cartID uuid.UUID, checkout string, productIDs []uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putRightTime)
	defer cancel()
	bought, err := boughtAfterAll(ctx, s.db, cartID)
	if err == nil && !bought {
		err = s.shelf.UndoCheckout(ctx, cartID, checkout, productIDs)
	}
	if err != nil {
		s.doubt()
		s.log.WarnContext(ctx, "holds of a checkout left to the comparison with the rows", "cart", cartID, "error", err)
	}
}

// refused gives up a checkout that has not come so far as an order. Where the shelf has just not answered it is not asked again.
func (s *Service) refused(ctx context.Context, b Basket, c Cart, err error) {
	switch {
	case errors.Is(err, ErrNothingHeld):
	case unavailable(err):
		s.doubt()
	default:
		s.GiveUp(ctx, c.ID, b.Checkout, c.ProductIDs())
	}
}

// boughtAfterAll says whether an order has the cart, once no transaction has its row locked.
func boughtAfterAll(ctx context.Context, db querier, id uuid.UUID) (bought bool, err error) {
	err = db.QueryRow(ctx, `SELECT state = 'BOUGHT' FROM cart.carts WHERE id = $1 FOR SHARE`, id).Scan(&bought)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return false, fmt.Errorf("look whether cart %s was bought: %w", id, err)
	}
	return bought, nil
}
