package payment

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// adopt has payments hear lines of the provider's books, each of another order, as if they had been answered to the charger; what
// the charger hears later of the same is dropped. A line that is no news by now changes nothing. again says whether something is
// left to do.
func adopt(ctx context.Context, db *postgres.DB, lines map[uuid.UUID]Line) (adopted int, again bool, err error) {
	orders := make([]uuid.UUID, 0, len(lines))
	for order := range lines {
		orders = append(orders, order)
	}
	err = db.InTx(ctx, func(tx pgx.Tx) error {
		adopted, again = 0, false
		stored, err := lock(ctx, tx, orders)
		if err != nil {
			return err
		}
		var e effects
		for order, p := range stored {
			sense, outcome := p.read(lines[order])
			if sense != news {
				continue
			}
			before := p.Payment
			name := p.Hear(outcome)
			e.add(before, p.Payment, name, 0)
			adopted, again = adopted+1, again || p.State.UnderWay()
		}
		err = e.write(ctx, tx)
		failpoint.Reach("adopting")
		return err
	})
	if err != nil {
		return 0, false, fmt.Errorf("adopt %d results: %w", len(lines), err)
	}
	return adopted, again, nil
}
