package cart

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// Basket is a cart on its way into an order, its units held.
type Basket struct {
	CartID    uuid.UUID
	Version   int64
	ExpiresAt time.Time // until when its units are held
	Lines     []event.OrderLine
	Shown     []Line // the lines with the prices that were last shown, in the same order
	Checkout  string // the token under which its units are held
}

// takenLately is how long a customer whose cart was bought is told so, rather than that there is nothing to buy: a twin of
// the request that bought it may come late.
const takenLately = time.Minute

// Checkout reads the customer's cart for buying and keeps its units held until then. Units that are not held any more are
// held again. The version wanted, if any, must be the current one. What it does to the holds is marked as its own: when no
// order comes of it, GiveUp leaves them as they were found.
//
// It refuses with cart-empty; with cart-changed; with hold-expired if units of a cart that had expired cannot be had again,
// with hold-lost if the cart had not expired, with out-of-stock if an operator has taken units away and others have checked out before,
// each with the lines; and with unavailable if units would have to be held again while the shelf cannot be reached. A cart whose units are held as far as Postgres knows needs no shelf.
func (s *Service) Checkout(ctx context.Context, customer string, version *int64, until time.Time) (Basket, error) {
	leave, err := s.turns.enter(ctx, customer)
	if err != nil {
		return Basket{}, fmt.Errorf("wait for other calls on the cart: %w", err)
	}
	defer leave()
	m, err := s.crowd.read(ctx, question{customer: customer})
	if err != nil {
		return Basket{}, err
	}
	c, now := m.cart, m.now
	b := Basket{CartID: c.ID, Version: c.Version, ExpiresAt: until, Lines: orderLines(c.Lines), Shown: c.Lines, Checkout: newToken()}
	switch {
	case version != nil && *version != c.Version:
		return Basket{}, cartChanged()
	case len(c.Lines) == 0:
		return Basket{}, s.nothingToBuy(ctx, c)
	case c.Live(now):
		b.ExpiresAt, err = s.extend(ctx, c, until, b.Checkout)
	default:
		err = s.retake(ctx, c, until, b.Checkout)
	}
	if err != nil {
		s.refused(ctx, b, c, err)
		return Basket{}, err
	}
	return b, nil
}

// ShowPrices remembers prices that the customer is being told, so that the next checkout is at them.
func (s *Service) ShowPrices(ctx context.Context, cartID uuid.UUID, shown []Line) error {
	return remember(ctx, s.db, cartID, shown)
}

// Take marks a cart as bought by an order, in that order's transaction. A cart that was bought or changed since Checkout is
// cart-changed.
func (s *Service) Take(ctx context.Context, tx pgx.Tx, cartID uuid.UUID, version int64, orderID uuid.UUID) error {
	taken, err := take(ctx, tx, cartID, version, orderID)
	if err != nil {
		return err
	}
	if !taken {
		return cartChanged()
	}
	s.closed.ring()
	return nil
}

func cartChanged() error {
	return fault.New(fault.CartChanged, "the cart was bought or changed meanwhile: read it again")
}

func (s *Service) nothingToBuy(ctx context.Context, c Cart) error {
	if c.ID == uuid.Nil {
		bought, err := boughtLately(ctx, s.db, c.Customer)
		if err != nil {
			return err
		}
		if bought {
			return cartChanged()
		}
	}
	return fault.New(fault.CartEmpty, "there is nothing in the cart")
}

// extend keeps the units of a live cart held until then, and holds those again that the shelf has lost or the cart could not
// have before. It gives the time until which they are held.
func (s *Service) extend(ctx context.Context, c Cart, until time.Time, token string) (time.Time, error) {
	var held, again []Line
	for _, l := range c.Lines {
		if l.Held {
			held = append(held, l)
		} else {
			again = append(again, l)
		}
	}
	not, err := s.shelf.Extend(ctx, Holder{CartID: c.ID, Checkout: token}, orderLines(held), until)
	if unavailable(err) && len(again) == 0 {
		s.log.WarnContext(ctx, "cart goes to checkout on the word of its rows", "cart", c.ID, "error", err)
		return c.ExpiresAt, nil
	}
	if err != nil {
		return until, shelfError(fmt.Errorf("extend holds of cart %s: %w", c.ID, err))
	}
	if len(not.Cut) > 0 {
		return until, notCovered(held, not.Cut)
	}
	kind := fault.HoldExpired
	if len(not.Lost) > 0 {
		kind = fault.HoldLost
	}
	back := make(map[uuid.UUID]time.Time)
	for _, id := range append(not.Expired, not.Lost...) {
		again, back[id] = append(again, *c.Line(id)), c.ExpiresAt
	}
	if len(again) == 0 {
		return until, nil
	}
	ch := Change{Before: c, After: c.clone(), Hold: orderLines(again), Until: until, Checkout: token, Back: back}
	if err := s.doOnce(ctx, &ch); err != nil {
		return until, err
	}
	if len(ch.Short) > 0 {
		return until, notHeld(kind, again, ch.Short)
	}
	return until, nil
}

// retake holds all units of an expired cart again, or none of them. The cart stays expired until an order has it: a checkout
// that comes to nothing is no way to hold for longer.
func (s *Service) retake(ctx context.Context, c Cart, until time.Time, token string) error {
	ch := Change{Before: c, After: c.clone(), Hold: orderLines(c.Lines), Until: until, Checkout: token}
	ch.Refuse = func(short map[uuid.UUID]Short) error { return notHeld(fault.HoldExpired, c.Lines, short) }
	return s.doOnce(ctx, &ch)
}

// doOnce does a change that a checkout needs. A checkout that loses a race is told that the cart has changed.
func (s *Service) doOnce(ctx context.Context, ch *Change) error {
	rest := left{checkout: ch.Checkout}
	err := s.do(ctx, ch, &rest)
	s.putRight(ctx, rest)
	if errors.Is(err, errTurn) {
		return cartChanged()
	}
	return err
}
