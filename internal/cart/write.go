package cart

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// errTurn says that another writer was first.
var errTurn = errors.New("the cart was written by another")

// tries bounds how often one call does its work again because another writer was first.
const tries = 12

// putRightTime is how long a call that failed may take to put the shelf right.
const putRightTime = 2 * time.Second

// left is what a call has put on the shelf, or taken off it, without rows to say so.
type left struct {
	cartID   uuid.UUID
	products []uuid.UUID
	down     bool   // the shelf cannot be reached, so there is no sense in trying
	past     bool   // by the shelf's clock the cart has expired
	checkout string // the token of the checkout that it was; what is its own it undoes itself
	saved    bool   // the rows are written: what is left to do is to put the shelf right
}

// change reads a customer's open cart, lets work say what is to change, and does it. It gives what was read with the cart as it is
// afterwards. Whatever a call that fails has left on the shelf is put right.
func (s *Service) change(ctx context.Context, q question, work func(moment) (Change, error)) (moment, error) {
	leave, err := s.turns.enter(ctx, q.customer)
	if err != nil {
		return moment{}, fmt.Errorf("wait for other calls on the cart: %w", err)
	}
	defer leave()
	var rest left
	for try := range tries {
		if err = pause(ctx, try); err != nil {
			break
		}
		var m moment
		m, err = s.tryChange(ctx, q, work, &rest)
		if rest.saved && errors.Is(err, errTurn) {
			err = nil
		}
		if !errors.Is(err, errTurn) {
			s.putRight(ctx, rest)
			return m, err
		}
	}
	s.putRight(ctx, rest)
	busy := fault.New(fault.Conflict, "the cart is being changed by other requests: try again").Because(err)
	if rest.past { // a clock was moved, and how far it is off is known within a second
		busy = fault.New(fault.Unavailable, "Nothing can be held at the moment; try again shortly.").Because(err)
	}
	busy.RetryAfter = time.Second
	return moment{}, busy
}

func (s *Service) tryChange(ctx context.Context, q question, work func(moment) (Change, error), rest *left) (moment, error) {
	m, err := s.crowd.read(ctx, q)
	if err != nil {
		return m, err
	}
	if rest.cartID != m.cart.ID { // the cart of the try before was bought meanwhile
		s.putRight(ctx, *rest)
		*rest = left{}
	}
	if rest.past && m.cart.Live(m.now) {
		m.now = m.cart.ExpiresAt
	}
	ch, err := work(m)
	if err != nil {
		return m, err
	}
	if ch = ch.again(rest.products, m.now); ch.Nothing() {
		return m, nil
	}
	if m.cart.ID == uuid.Nil {
		ch.After.ID, ch.After.Customer, ch.After.State = clock.NewID(), q.customer, Open
	}
	err = s.do(ctx, &ch, rest)
	m.cart = ch.After
	return m, err
}

// do does a change: shelf, rows, shelf, copy. It notes in rest what the shelf has that no row says, and gives errTurn when
// another writer was first.
func (s *Service) do(ctx context.Context, ch *Change, rest *left) error {
	rest.cartID = ch.After.ID
	if err := s.hold(ctx, ch, rest); err != nil {
		return err
	}
	turn, err := s.crowd.save(ctx, *ch)
	if err != nil {
		return err
	}
	ch.After.Turn = turn
	rest.products, rest.saved = nil, true
	if len(ch.Lower)+len(ch.Free) > 0 {
		if err := s.giveBack(ctx, ch, rest); err != nil {
			return err
		}
	}
	if !rest.down {
		s.copy(ctx, *ch)
	}
	return nil
}

// hold puts the change's units on the shelf and marks the lines accordingly.
func (s *Service) hold(ctx context.Context, ch *Change, rest *left) error {
	if len(ch.Hold) == 0 {
		return nil
	}
	short, err := s.shelf.Hold(ctx, ch.holder(), ch.Hold, ch.Until)
	if errors.Is(err, ErrPast) {
		rest.past = true
		return errTurn
	}
	if errors.Is(err, ErrNothingHeld) {
		return shelfError(fmt.Errorf("hold units for cart %s: %w", ch.After.ID, err))
	}
	for _, l := range ch.Hold {
		if _, none := short[l.ProductID]; !none {
			rest.products = append(rest.products, l.ProductID)
		}
	}
	if err != nil {
		rest.down = unavailable(err)
		return shelfError(fmt.Errorf("hold units for cart %s: %w", ch.After.ID, err))
	}
	return ch.mark(short)
}

// giveBack takes off the shelf what the rows do not say any more. The rows get another turn afterwards: whoever has put it
// there again meanwhile, on the word of the rows just written, is then told to do so once more. What cannot be given back is
// left to its expiry.
func (s *Service) giveBack(ctx context.Context, ch *Change, rest *left) error {
	rest.products = ch.Free
	for _, l := range ch.Lower {
		rest.products = append(rest.products, l.ProductID)
	}
	if err := s.takeOff(ctx, *ch); err != nil {
		rest.products, rest.down = nil, unavailable(err)
		s.doubt()
		s.log.WarnContext(ctx, "units of a cart left to their expiry", "cart", ch.After.ID, "error", err)
		return nil
	}
	turn, err := nextTurn(ctx, s.db, ch.After.ID, ch.After.Turn)
	if err != nil {
		return err
	}
	rest.products = nil
	ch.After.Turn = turn
	return nil
}

func (s *Service) takeOff(ctx context.Context, ch Change) error {
	var err error
	if len(ch.Lower) > 0 {
		if _, err = s.shelf.Hold(ctx, ch.holder(), ch.Lower, ch.Until); errors.Is(err, ErrPast) {
			err = nil
		}
	}
	if len(ch.Free) > 0 {
		err = errors.Join(err, s.shelf.Release(ctx, ch.After.ID, ch.Free))
	}
	return err
}

// putRight makes the shelf say what the rows say of what a failed call has left. What cannot be put right is left for the
// reconciler to find.
func (s *Service) putRight(ctx context.Context, rest left) {
	if len(rest.products) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), putRightTime)
	defer cancel()
	if !rest.down {
		err := s.tryPutRight(ctx, &rest)
		for try := 1; try < tries && errors.Is(err, errTurn) && pause(ctx, try) == nil; try++ {
			err = s.tryPutRight(ctx, &rest)
		}
		if err == nil {
			return
		}
		s.log.WarnContext(ctx, "shelf and cart may differ until they are reconciled", "cart", rest.cartID, "products", len(rest.products), "error", err)
	}
	s.doubt()
	if err := noteChange(ctx, s.db, rest.cartID); err != nil {
		s.log.WarnContext(ctx, "cart not noted for the reconciler", "cart", rest.cartID, "error", err)
	}
}

// doubt has rows and Redis compared.
func (s *Service) doubt() {
	if s.Doubt != nil {
		s.Doubt()
	}
}

func (s *Service) tryPutRight(ctx context.Context, rest *left) error {
	c, now, err := readByID(ctx, s.db, rest.cartID)
	if err != nil {
		return err
	}
	if rest.checkout != "" && c.State == Open { // no row says what a checkout holds, nor what another one does beside it
		rest.products = slices.DeleteFunc(rest.products, func(id uuid.UUID) bool {
			l := c.Line(id)
			return l != nil && !(l.Held && c.Live(now))
		})
	}
	ch := Change{Before: c, After: c.clone()}.again(rest.products, now)
	switch c.State {
	case Open:
		if ch.Nothing() {
			return nil
		}
		return s.do(ctx, &ch, rest)
	case Bought:
		return s.putRightBought(ctx, c, rest.products, now)
	default: // it never came to be, or it was dropped
		return s.shelf.Release(ctx, rest.cartID, rest.products)
	}
}

// putRightBought gives an order's hold the time back that a late call on its cart may have taken from it, and takes off
// what is not the order's, or is not any more: a call that comes so late that the order's hold has ended takes it anew. Such a
// call has not made the hold smaller: that is done after the rows are written.
func (s *Service) putRightBought(ctx context.Context, c Cart, products []uuid.UUID, now time.Time) error {
	var keep []event.OrderLine
	var drop []uuid.UUID
	for _, id := range products {
		if l := c.Line(id); l != nil {
			keep = append(keep, event.OrderLine{ProductID: id, Quantity: l.Quantity})
		} else {
			drop = append(drop, id)
		}
	}
	over, err := s.shelf.EndIfOver(ctx, c.ID, productsIn(keep))
	keep = slices.DeleteFunc(keep, func(l event.OrderLine) bool { return slices.Contains(over, l.ProductID) })
	if len(keep) > 0 {
		_, extended := s.shelf.Extend(ctx, Holder{CartID: c.ID, Checkout: ofOrder}, keep, now.Add(s.rules.TTL))
		err = errors.Join(err, extended)
	}
	if len(drop) > 0 {
		err = errors.Join(err, s.shelf.Release(ctx, c.ID, drop))
	}
	return err
}

func productsIn(lines []event.OrderLine) []uuid.UUID {
	ids := make([]uuid.UUID, len(lines))
	for i, l := range lines {
		ids[i] = l.ProductID
	}
	return ids
}
