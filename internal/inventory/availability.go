package inventory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/lua"
)

// Availability says where the units of a product are: OnHand = Allocated + Held + Free - OverHeld, but for the moment that the
// shelf takes to hear of an order.
type Availability struct {
	OnHand     int64      // all that was ever supplied and not taken away
	Allocated  int64      // of these, taken by orders and not given back
	Held       int64      // of the rest, held for carts and for orders whose units are not taken yet
	Free       int64      // what can be held now
	OverHeld   int64      // of Held, units that are not there: an operator has taken them away
	NextExpiry *time.Time // when the next hold of somebody else ends, if nothing is done about it; nil: there is none
	MyHold     int64      // of Held, the asking customer's
	Loading    bool       // Redis does not have all holds of it yet: Held, Free and MyHold are 0, and known soon
	Estimated  bool       // Redis is away: Held, Free and MyHold are what the rows of carts and orders say
}

// Availability gives that of one product for a customer ("": nobody), or not-found.
func (s *Service) Availability(ctx context.Context, productID uuid.UUID, customer string) (Availability, error) {
	var a Availability
	var available int64
	err := s.db.QueryRow(ctx, `SELECT available, allocated FROM inventory.stock WHERE product_id = $1`, productID).Scan(&available, &a.Allocated)
	if errors.Is(err, pgx.ErrNoRows) {
		return a, noSuchProduct()
	}
	if err != nil {
		return a, fmt.Errorf("stock of product %s: %w", productID, err)
	}
	a.OnHand = available + a.Allocated
	var mine []LiveHold
	if customer != "" && s.HoldsOf != nil {
		if mine, err = s.HoldsOf(ctx, customer, productID); err != nil {
			return a, err
		}
	}
	if err = s.shelf.tell(ctx, productID, mine, &a); redisx.Unavailable(err) {
		a.Estimated = true
		err = s.shelf.tellByRows(ctx, productID, mine, &a)
	}
	if Loading(err) {
		a.Loading, err = true, nil
	}
	return a, err
}

// mostMine is how many of a customer's holds one call of the script takes.
const mostMine = 500

// tell asks Redis.
func (s *Shelf) tell(ctx context.Context, productID uuid.UUID, mine []LiveHold, a *Availability) error {
	args := make([]any, min(len(mine), mostMine))
	for i := range args {
		args[i] = mine[i].HoldID.String()
	}
	calls := func(int) []redisx.Call {
		return []redisx.Call{{Script: lua.Tell, Keys: s.keys.Product(productID), Args: args}}
	}
	err := s.each(ctx, []uuid.UUID{productID}, calls, func(_ int, _ int64, answer []any) error {
		a.Held, a.MyHold = number(answer, 3), number(answer, 4)
		u := unitsOf(number(answer, 1), a.Held)
		a.Free, a.OverHeld = u.free, u.over
		if next := number(answer, 5); next > 0 {
			at := time.UnixMilli(next).UTC()
			a.NextExpiry = &at
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("availability of product %s: %w", productID, err)
	}
	return nil
}

// tellByRows says the same without Redis, as far as rows know.
func (s *Shelf) tellByRows(ctx context.Context, productID uuid.UUID, mine []LiveHold, a *Availability) error {
	own := make(map[uuid.UUID]bool, len(mine))
	for _, h := range mine {
		own[h.HoldID] = true
	}
	var stock *shelved
	now := clock.Now()
	err := s.eachPage(ctx, []uuid.UUID{productID}, func(r *reading) {
		for _, h := range r.holds {
			if h.ExpiresAt.After(now) {
				a.add(h, own[h.HoldID])
			}
		}
		stock = r.stock
	})
	if err != nil {
		return err
	}
	if stock == nil {
		return noSuchProduct()
	}
	u := unitsOf(stock.available, a.Held)
	a.Free, a.OverHeld = u.free, u.over
	return nil
}

// add counts a hold that a row tells of.
func (a *Availability) add(h LiveHold, own bool) {
	a.Held += h.Quantity
	if own {
		a.MyHold += h.Quantity
	} else if a.NextExpiry == nil || h.ExpiresAt.Before(*a.NextExpiry) {
		at := h.ExpiresAt.UTC()
		a.NextExpiry = &at
	}
}
