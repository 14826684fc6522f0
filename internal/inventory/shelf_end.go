package inventory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// EndIfOver ends a hold on those of the products of which nobody needs it any more, by the word of its owner and the books,
// and gives these. It is for a hold that may have been taken after it was ended. The stock is brought along, as it was read
// after the decision, so that units which the books have taken are not free in between.
func (s *Shelf) EndIfOver(ctx context.Context, holdID uuid.UUID, productIDs []uuid.UUID) (over []uuid.UUID, err error) {
	live, err := s.holders.Of(ctx, holdID, productIDs)
	if err != nil {
		return nil, fmt.Errorf("what hold %s has of %d products: %w", holdID, len(productIDs), err)
	}
	stock, err := readStock(ctx, s.db, productIDs, live)
	if err != nil {
		return nil, err
	}
	var calls []redisx.Call
	for p, row := range stock {
		if len(row.holds) == 0 {
			over = append(over, p)
			calls = append(calls, redisx.Call{Script: lua.Settle, Keys: s.keys.Product(p), Args: []any{row.version, row.available, holdID.String()}})
		}
	}
	return over, s.all(ctx, "end", calls)
}
