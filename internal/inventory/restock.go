package inventory

import (
	"context"
	"errors"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// tellTime bounds how long buyers are told of a movement, and as long how long what is held is counted by its rows.
const tellTime = 5 * time.Second

// Restock adds units to a product's stock, or takes some away, never below zero: that is a conflict with the units that
// there are. It returns the movement. It is not idempotent: a second call moves the stock again.
func (s *Service) Restock(ctx context.Context, productID uuid.UUID, quantity int64, reason string) (Movement, error) {
	if quantity == 0 || quantity > MaxStock || quantity < -MaxStock {
		return Movement{}, fault.Unprocessable("the quantity must be a whole number from %d to %d, and not 0", -int64(MaxStock), int64(MaxStock)).
			With(fault.Line{Field: "quantity", Detail: "out of range"})
	}
	if utf8.RuneCountInString(reason) > MaxReason {
		return Movement{}, fault.Unprocessable("the reason is longer than %d characters", MaxReason).With(fault.Line{Field: "reason", Detail: "too long"})
	}
	var moved Movement
	err := s.db.InTx(ctx, func(tx pgx.Tx) error {
		books, err := lockBooks(ctx, tx, []uuid.UUID{productID})
		if err != nil {
			return err
		}
		if books.stock[productID] == nil {
			return noSuchProduct()
		}
		id := clock.NewID()
		line, err := books.adjust(productID, id, quantity, reason)
		if err != nil {
			return refuseAdjust(err, books.stock[productID].Available)
		}
		moved = books.movements[0]
		if moved.At, err = txTime(ctx, tx); err != nil {
			return err
		}
		return post(ctx, tx, books, posting{facts: []event.Fact{ofShop(event.StockAdjusted, id, []event.StockLine{line})}})
	})
	if err != nil {
		return Movement{}, err
	}
	s.tellBuyers(ctx, &moved)
	return moved, nil
}

func refuseAdjust(err error, available int64) error {
	if errors.Is(err, errBelowZero) {
		refusal := fault.New(fault.Conflict, "the stock is %d units and cannot go below zero", available)
		refusal.Available = &available
		return refusal
	}
	return fault.Unprocessable("the stock is %d units and cannot be more than %d", available, int64(MaxStock))
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
