package reconcile

import (
	"context"
	"fmt"
	"strconv"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// row is what Postgres says of a product.
type row struct {
	available, version int64
	young              bool                // changed within the cooldown: the shelf may not have heard of it yet
	holds              map[string]expected // by hold id: what ought to be on the shelf
	owners             map[string]owner    // by hold id: who they are that hold on the shelf and ought not to
}

// String writes it as Redis' side is written.
func (r row) String() string { return stockText(r.available, r.version) }

func stockText(stock, version int64) string { return fmt.Sprintf("%d at version %d", stock, version) }

// compareStock is the pair of stock:{p} and its row, which was read later. A younger row is on its way to the shelf; a shelf
// that is newer than its row, or differs from it at the same version, is wrong at any time.
func compareStock(s shelf, r row) (Difference, bool) {
	stock, err1 := strconv.ParseInt(s.stock, 10, 64)
	version, err2 := strconv.ParseInt(s.version, 10, 64)
	if err1 == nil && err2 == nil && (stock == r.available && version == r.version || version < r.version && r.young) {
		return Difference{}, false
	}
	return Difference{Pair: pairStock, Key: "stock:{" + s.id.String() + "}", Redis: stockText(stock, version), Postgres: r.String()}, true
}

// readRows reads what Postgres says of the products that can be compared: holds first, the stock last, so that the stock
// knows of every unit that an order was seen to have taken.
func (p *pass) readRows(ctx context.Context, shelves []shelf) (map[uuid.UUID]row, error) {
	var ids []uuid.UUID
	for _, s := range shelves {
		if s.condition != notLoaded {
			ids = append(ids, s.id)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	holds, err := p.expectedHolds(ctx, ids)
	if err != nil {
		return nil, err
	}
	owners, err := p.ownersOfOthers(ctx, shelves, holds)
	if err != nil {
		return nil, err
	}
	found, err := p.Postgres.Query(ctx, `
		SELECT product_id, available, version, changed_at > now() - $2::interval FROM inventory.stock WHERE product_id = ANY($1)`, ids, p.Cooldown)
	if err != nil {
		return nil, fmt.Errorf("read stock of %d products: %w", len(ids), err)
	}
	rows := make(map[uuid.UUID]row, len(ids))
	var id uuid.UUID
	var r row
	_, err = pgx.ForEachRow(found, []any{&id, &r.available, &r.version, &r.young}, func() error {
		r.holds, r.owners = holds[id], owners
		rows[id] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read stock of %d products: %w", len(ids), err)
	}
	return rows, nil
}
