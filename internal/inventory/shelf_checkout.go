package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// OrderMark is on what an order holds by the word of its rows, as the token of a checkout is on what the checkout has taken.
const OrderMark = "order"

// ExtendFor is Extend, by a checkout where the holder has one. That is refused units that are promised to those who checked out before,
// but not before the books were asked whether they have taken some of these already, which the shelf has yet to hear.
func (s *Shelf) ExtendFor(ctx context.Context, by Holder, productIDs []uuid.UUID, until time.Time) ([]ExtendAnswer, error) {
	answers, err := s.extend(ctx, by, productIDs, until)
	if err != nil {
		return nil, err
	}
	var products []uuid.UUID
	var at []int
	for i, a := range answers {
		if a.Outcome == Cut {
			products, at = append(products, productIDs[i]), append(at, i)
		}
	}
	if len(products) == 0 {
		return answers, nil
	}
	if err := s.SettleStock(ctx, products); err != nil {
		return nil, redisx.Sent(err)
	}
	second, err := s.extend(ctx, by, products, until)
	if err != nil {
		return nil, redisx.Sent(err)
	}
	for j, i := range at {
		answers[i] = second[j]
	}
	return answers, nil
}

// until is a hold's expiry as the script hold takes it.
func (by Holder) until(product uuid.UUID, until time.Time) any {
	if by.Checkout == "" {
		return until.UnixMilli()
	}
	back := int64(0)
	if at := by.Back[product]; !at.IsZero() {
		back = at.UnixMilli()
	}
	return fmt.Sprintf("%d:%s:%d", until.UnixMilli(), by.Checkout, back)
}

// noted adds to the calls of a checkout a note that the reconciler finds if the checkout dies.
func (s *Shelf) noted(checkout string, p uuid.UUID, calls []redisx.Call) []redisx.Call {
	if checkout == "" {
		return calls
	}
	return append(calls, redisx.Command("ZADD", s.keys.Checkouts(p), clock.Now().UnixMilli(), p.String()))
}

// UndoCheckout takes back what a checkout has done to a hold on products: the time that it has given, and what it has taken anew.
// What another checkout has marked too stays as that one needs it. It can be repeated.
func (s *Shelf) UndoCheckout(ctx context.Context, holdID uuid.UUID, checkout string, productIDs []uuid.UUID) error {
	calls := make([]redisx.Call, len(productIDs))
	for i, p := range productIDs {
		calls[i] = redisx.Call{Script: lua.Undo, Keys: s.keys.Product(p), Args: []any{holdID.String(), checkout}}
	}
	return s.all(ctx, "undo a checkout", calls)
}
