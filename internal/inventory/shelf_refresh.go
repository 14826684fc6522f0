package inventory

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Refresh is Extend for many holds, each until its own expiry, for work that no customer waits for. It says how many of them are
// held no more, by expiry or loss, though the books have not decided on their orders.
func (s *Shelf) Refresh(ctx context.Context, holds []LiveHold) (gone int, err error) {
	quiet := *s
	quiet.scripts = s.aside
	products := make([]uuid.UUID, len(holds))
	for i, h := range holds {
		products[i] = h.ProductID
	}
	var missing []LiveHold
	calls := func(i int) []redisx.Call {
		h := holds[i]
		return []redisx.Call{{Script: lua.Extend, Keys: s.keys.Product(h.ProductID), Args: []any{h.HoldID.String(), h.ExpiresAt.UnixMilli()}}}
	}
	err = quiet.each(ctx, products, calls, func(i int, code int64, _ []any) error {
		if code != yes {
			missing = append(missing, holds[i])
		}
		return nil
	})
	if err != nil && !Loading(err) { // what is loading comes with the time that the rows say
		return 0, fmt.Errorf("refresh %d holds: %w", len(holds), err)
	}
	if len(missing) == 0 {
		return 0, nil
	}
	stock, err := readStock(ctx, s.db, products, missing)
	if err != nil {
		return 0, fmt.Errorf("refresh %d holds: %w", len(holds), err)
	}
	for _, row := range stock {
		gone += len(row.holds)
	}
	return gone, nil
}
