package inventory

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Settle hears what changes the stock and what ends orders, and brings the shelf to it: the newest stock of each product, and
// the end of the holds whose units the books have taken or whose order has failed. Redis first, then the inbox: what is lost
// in between is done again, to the same end.
func (s *Shelf) Settle(ctx context.Context, facts []event.Fact) error {
	orders, err := s.linesOfEnded(ctx, facts)
	if err != nil {
		return err
	}
	changes, err := changesOf(facts, orders)
	if err != nil {
		return err
	}
	if err := all(ctx, s.aside, "settle", s.settleCalls(changes)); err != nil {
		return err
	}
	err = s.db.InTx(ctx, func(tx pgx.Tx) error {
		_, err := inbox.Fresh(ctx, tx, ShelfModule, facts)
		return err
	})
	if err != nil {
		return fmt.Errorf("settle %d facts: %w", len(facts), err)
	}
	return nil
}

// change is what is to be done to one product.
type change struct {
	version, available int64 // 0: the stock stays
	ended              []uuid.UUID
}

// idsPerCall is how many hold ids one call of the settle script takes.
const idsPerCall = 500

func (s *Shelf) settleCalls(changes map[uuid.UUID]*change) []redisx.Call {
	calls := make([]redisx.Call, 0, len(changes))
	for p, c := range changes {
		slices.SortFunc(c.ended, compareIDs)
		c.ended = slices.Compact(c.ended)
		for first := true; first || len(c.ended) > 0; first = false {
			n := min(len(c.ended), idsPerCall)
			args := []any{c.version, c.available}
			for _, id := range c.ended[:n] {
				args = append(args, id.String())
			}
			c.ended = c.ended[n:]
			calls = append(calls, redisx.Call{Script: lua.Settle, Keys: s.keys.Product(p), Args: args})
		}
	}
	return calls
}

// changesOf merges what facts say, by product.
func changesOf(facts []event.Fact, orders map[uuid.UUID]event.Order) (map[uuid.UUID]*change, error) {
	changes := map[uuid.UUID]*change{}
	at := func(p uuid.UUID) *change {
		if changes[p] == nil {
			changes[p] = &change{}
		}
		return changes[p]
	}
	end := func(p, hold uuid.UUID) {
		if hold != uuid.Nil {
			at(p).ended = append(at(p).ended, hold)
		}
	}
	for _, f := range facts {
		switch f.Name {
		case event.StockCreated, event.StockAdjusted, event.StockReserved, event.StockReleased, event.LaneReserved, event.LaneReleased:
			said, err := event.Decode[event.OrderStock](f) // a Stock is one without an order, a lane's is one with a lane
			if err != nil {
				return nil, err
			}
			for _, l := range said.Lines {
				if c := at(l.ProductID); l.Version > c.version {
					c.version, c.available = l.Version, l.Available
				}
				end(l.ProductID, said.HoldID)
			}
		default: // stock.failed too: its lines are only those of which there was too little
			order := orders[f.OrderID]
			for _, l := range order.Lines {
				end(l.ProductID, order.HoldID)
			}
		}
	}
	return changes, nil
}

// linesOfEnded gives the lines of the orders that the facts say got no stock, have failed or were cancelled. The hold of one that is
// completed ended when its stock was reserved. An order without stock takes none any more, though its money may still be on its way
// back.
func (s *Shelf) linesOfEnded(ctx context.Context, facts []event.Fact) (map[uuid.UUID]event.Order, error) {
	var ids []uuid.UUID
	for _, f := range facts {
		switch f.Name {
		case event.StockFailed, event.OrderFailed, event.OrderCancelled:
			ids = append(ids, f.OrderID)
		}
	}
	if ids == nil {
		return nil, nil
	}
	var orders map[uuid.UUID]event.Order
	err := pgx.BeginTxFunc(ctx, s.db, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var err error
		orders, err = s.orders.Lines(ctx, tx, ids)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lines of %d ended orders: %w", len(ids), err)
	}
	return orders, nil
}
