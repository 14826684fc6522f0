package inventory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// States of what an operator has asked a lane for. Whoever is first decides: the lane, or the operator who waits no longer.
const (
	restockAsked   = "ASKED"
	restockDone    = "DONE"
	restockRefused = "REFUSED"
	restockGivenUp = "GIVEN_UP"
)

const (
	restockWait = 10 * time.Second      // for the lane
	restockLook = 20 * time.Millisecond // between two looks for its answer
	tellTime    = 5 * time.Second       // for buyers to be told, and as long for what is held by its rows
)

// restockInLane asks the product's lane for a movement, and waits for it. What has not happened by then never will.
func (s *Service) restockInLane(ctx context.Context, productID uuid.UUID, quantity int64, reason string) (Movement, error) {
	known, err := s.Products(ctx, []uuid.UUID{productID})
	if err != nil {
		return Movement{}, err
	}
	if len(known) == 0 {
		return Movement{}, noSuchProduct()
	}
	lane := LaneOf(productID, max(1, s.Lanes))
	asked := event.New(event.LaneRestockRequested, event.Shop, uuid.Nil, event.LaneRestock{Lane: lane, ProductID: productID, Quantity: quantity, Reason: reason})
	asked.Part = LanePart(lane)
	err = s.db.InTx(ctx, func(tx pgx.Tx) error {
		if err := askRestock(ctx, tx, asked.ID); err != nil {
			return err
		}
		return outbox.Append(ctx, tx, asked)
	})
	if err != nil {
		return Movement{}, fmt.Errorf("ask lane %d for a restock: %w", lane, err)
	}
	waiting, cancel := context.WithTimeout(ctx, restockWait)
	defer cancel()
	got, err := awaitRestock(waiting, s.db, asked.ID)
	if err != nil {
		return Movement{}, err
	}
	switch {
	case got.state == restockDone:
		return readMovement(context.WithoutCancel(ctx), s.db, productID, got.movement)
	case got.state == restockRefused && quantity < 0:
		return Movement{}, refuseAdjust(errBelowZero, got.available)
	case got.state == restockRefused:
		return Movement{}, refuseAdjust(errTooMuch, got.available)
	}
	f := fault.New(fault.Unavailable, "The product's lane does not answer, and the stock was not changed; try again shortly.")
	f.RetryAfter = time.Second
	return Movement{}, f
}

// tellBuyers brings a product's stock to Redis after its movement was committed, and says in the movement whether buyers are decided by
// it from here on, and how many held units it does not cover. The movement stands either way: its fact brings the stock there later.
func (s *Service) tellBuyers(ctx context.Context, moved *Movement) {
	products := []uuid.UUID{moved.ProductID}
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime) // a Redis that is silent is waited for less long
	defer cancel()
	err := s.shelf.SettleStock(bounded, products)
	moved.Visible = err == nil
	var found map[uuid.UUID]units
	if err == nil {
		found, err = s.shelf.units(bounded, products)
	}
	if err != nil {
		s.log.WarnContext(ctx, "restock is not visible to buyers yet", "product_id", moved.ProductID, "visible", moved.Visible, "error", err)
		byRows, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellTime)
		defer cancel()
		found, err = s.shelf.unitsInBooks(byRows, products)
	}
	if err != nil {
		s.log.WarnContext(ctx, "a restock is answered without the units that it does not cover", "product_id", moved.ProductID, "error", err)
		return
	}
	over := found[moved.ProductID].over
	moved.OverHeld = &over
}

// restocked is what a lane has made of a restock.
type restocked struct {
	state     string
	available int64     // REFUSED: the units that there are
	movement  uuid.UUID // DONE
}

// awaitRestock looks until the lane has answered or ctx ends: then nobody waits any more, which the lane will see.
func awaitRestock(ctx context.Context, q querier, id uuid.UUID) (restocked, error) {
	tick := time.NewTicker(restockLook)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if got, err := readRestock(ctx, q, id); ctx.Err() == nil && (err != nil || got.state != restockAsked) {
				return got, err
			}
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			if err := giveUpRestock(last, q, id); err != nil {
				return restocked{}, err
			}
			return readRestock(last, q, id)
		}
	}
}

// LaneRestock hears what operators ask lanes for, and does it if they wait for it still.
func (s *Service) LaneRestock(ctx context.Context, facts []event.Fact) error {
	return s.hear(ctx, "restock in lanes", facts, func(tx pgx.Tx, fresh []event.Fact) error {
		wanted, err := lockRestocks(ctx, tx, fresh)
		if err != nil {
			return err
		}
		fresh = slices.DeleteFunc(fresh, func(f event.Fact) bool { return !wanted[f.ID] })
		asked := make([]event.LaneRestock, len(fresh))
		lines := make([]event.OrderLine, len(fresh))
		for i, f := range fresh {
			if asked[i], err = event.Decode[event.LaneRestock](f); err != nil {
				return err
			}
			lines[i].ProductID = asked[i].ProductID
		}
		books, err := lockBooks(ctx, tx, productsOf(lines))
		if err != nil {
			return err
		}
		var said []event.Fact
		answers := make([]restocked, len(fresh))
		for i, f := range fresh {
			var line event.StockLine
			id := clock.NewID()
			line, answers[i], err = books.restock(asked[i], id)
			if err != nil {
				return err
			}
			if answers[i].state == restockDone {
				fact := ofShop(event.StockAdjusted, id, []event.StockLine{line})
				fact.Cause, fact.TraceParent = f.ID, f.TraceParent
				said = append(said, fact)
			}
		}
		if err := saveRestocks(ctx, tx, fresh, answers); err != nil {
			return err
		}
		return post(ctx, tx, books, posting{facts: said})
	})
}

// restock does what an operator asks for, or says why not.
func (b *Books) restock(asked event.LaneRestock, factID uuid.UUID) (event.StockLine, restocked, error) {
	s := b.stock[asked.ProductID]
	if s == nil {
		return event.StockLine{}, restocked{}, fmt.Errorf("product %s: %w", asked.ProductID, errNotSeen)
	}
	line, err := b.adjust(asked.ProductID, factID, asked.Quantity, asked.Reason)
	switch {
	case errors.Is(err, errBelowZero), errors.Is(err, errTooMuch):
		return line, restocked{state: restockRefused, available: s.Available}, nil
	case err != nil:
		return line, restocked{}, err
	}
	return line, restocked{state: restockDone, movement: b.movements[len(b.movements)-1].ID}, nil
}
