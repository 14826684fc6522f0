package inventory

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// units is what there is to say of a product to those who have no hold on it.
type units struct {
	free int64 // can be held now
	over int64 // are held beyond the stock: an operator has taken away what somebody holds
}

func unitsOf(stock, held int64) units {
	return units{free: max(0, stock-held), over: max(0, held-stock)}
}

// units asks Redis. Products that the books do not have are left out. So are those that take a while to load: then the error is
// Loading, and the rest is there all the same.
func (s *Shelf) units(ctx context.Context, productIDs []uuid.UUID) (map[uuid.UUID]units, error) {
	found := make(map[uuid.UUID]units, len(productIDs))
	calls := func(i int) []redisx.Call {
		return []redisx.Call{{Script: lua.Read, Keys: s.keys.Product(productIDs[i]), Args: []any{""}}}
	}
	err := s.each(ctx, productIDs, calls, func(i int, code int64, answer []any) error {
		if code == yes {
			found[productIDs[i]] = unitsOf(number(answer, 1), number(answer, 2))
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("units of %d products: %w", len(productIDs), err)
	}
	return found, err
}

// unitsInBooks says the same without Redis, by the rows of stock, carts and orders.
func (s *Shelf) unitsInBooks(ctx context.Context, productIDs []uuid.UUID) (map[uuid.UUID]units, error) {
	found, held, now := make(map[uuid.UUID]units, len(productIDs)), make(map[uuid.UUID]int64, len(productIDs)), clock.Now()
	err := s.eachPage(ctx, productIDs, func(r *reading) {
		for _, h := range r.holds {
			if h.ExpiresAt.After(now) {
				held[r.product] += h.Quantity
			}
		}
		if r.stock != nil {
			found[r.product] = unitsOf(r.stock.available, held[r.product])
		}
	})
	return found, err
}

// Available says of each product how many units can be held now, as units does.
func (s *Shelf) Available(ctx context.Context, productIDs []uuid.UUID) (map[uuid.UUID]int64, error) {
	found, err := s.units(ctx, productIDs)
	available := make(map[uuid.UUID]int64, len(found))
	for p, u := range found {
		available[p] = u.free
	}
	return available, err
}

// Covered says of a hold on each product how many of its units a checkout would get at this moment: all that it has, unless the
// stock is less than what is held. Of what is not held nothing is.
func (s *Shelf) Covered(ctx context.Context, holdID uuid.UUID, productIDs []uuid.UUID) (map[uuid.UUID]int64, error) {
	covered := make(map[uuid.UUID]int64, len(productIDs))
	calls := func(i int) []redisx.Call {
		return []redisx.Call{{Script: lua.Read, Keys: s.keys.Product(productIDs[i]), Args: []any{holdID.String()}}}
	}
	err := s.each(ctx, productIDs, calls, func(i int, _ int64, answer []any) error {
		covered[productIDs[i]] = number(answer, 6)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("what %s has of %d products: %w", holdID, len(productIDs), err)
	}
	return covered, nil
}

// SettleStock brings the committed stock of products to Redis, and ends the holds whose units the books have taken lately: the facts that
// say so may not have been heard yet, and these units would count twice until then.
func (s *Shelf) SettleStock(ctx context.Context, productIDs []uuid.UUID) error {
	stock, err := readTaken(ctx, s.db, productIDs)
	if err != nil {
		return err
	}
	var orders []uuid.UUID
	for _, row := range stock {
		orders = append(orders, row.takenBy...)
	}
	holds, err := s.holders.HoldsOf(ctx, orders)
	if err != nil {
		return fmt.Errorf("holds of %d orders: %w", len(orders), err)
	}
	changes := make(map[uuid.UUID]*change, len(stock))
	for _, row := range stock {
		c := &change{version: row.version, available: row.available}
		for _, order := range row.takenBy {
			if hold, held := holds[order]; held {
				c.ended = append(c.ended, hold)
			}
		}
		changes[row.product] = c
	}
	return s.all(ctx, "settle stock", s.settleCalls(changes))
}

// Bounds of what readTaken looks at: the facts of what was taken before have been heard, or the comparison of holds and rows has found
// what they say. A purchase's hold may have the id of one that is a day older.
const (
	lastMovements = 500
	lastTime      = time.Hour
)

// taken is a product's stock, and the orders that have taken units of it lately.
type taken struct {
	product            uuid.UUID
	available, version int64
	takenBy            []uuid.UUID
}

// readTaken is one statement, so that the stock lacks the units of these orders, and of no others that are as young.
func readTaken(ctx context.Context, q querier, productIDs []uuid.UUID) ([]taken, error) {
	rows, err := q.Query(ctx, `
		SELECT s.product_id, s.available, s.version, ARRAY(
			SELECT m.order_id FROM (
				SELECT order_id, kind, at FROM inventory.movements WHERE product_id = s.product_id ORDER BY id DESC LIMIT $2) m
			WHERE m.kind = $3 AND m.at > now() - $4::interval)
		FROM inventory.stock s WHERE s.product_id = ANY ($1)`, productIDs, lastMovements, ReserveKind, lastTime)
	if err != nil {
		return nil, fmt.Errorf("stock of %d products and who has taken of it: %w", len(productIDs), err)
	}
	stock, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t taken, err error) {
		return t, row.Scan(&t.product, &t.available, &t.version, &t.takenBy)
	})
	if err != nil {
		return nil, fmt.Errorf("stock of %d products and who has taken of it: %w", len(productIDs), err)
	}
	return stock, nil
}
