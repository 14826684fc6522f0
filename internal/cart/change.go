package cart

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Change is what a call does to a cart, worked out before anything is written.
type Change struct {
	Before Cart
	After  Cart
	Hold   []event.OrderLine // goes on the shelf before the rows are written
	Lower  []event.OrderLine // is left on the shelf after the rows are written: the shelf never has less than the rows
	Free   []uuid.UUID       // comes off the shelf after the rows are written
	Until  time.Time         // the end of those holds
	// Checkout is the token of the checkout that does it: what it takes, no row says, until an order has it.
	Checkout string
	Back     map[uuid.UUID]time.Time // until when a checkout's products are held if it comes to nothing
	// Refuse says what the call is refused with when some lines cannot be held (by product). Without it those lines are kept
	// and marked as not held.
	Refuse func(short map[uuid.UUID]Short) error
	Short  map[uuid.UUID]Short // the lines that could not be held
}

// Nothing says that neither rows nor shelf change.
func (ch Change) Nothing() bool {
	return len(ch.Hold)+len(ch.Lower)+len(ch.Free) == 0 && ch.After.Version == ch.Before.Version
}

// Remove works out what taking lines out of a cart does. Products that are not in it are passed over.
func Remove(c Cart, productIDs ...uuid.UUID) Change {
	ch := Change{Before: c, After: c.clone()}
	ch.After.Lines = slices.DeleteFunc(ch.After.Lines, func(l Line) bool {
		gone := slices.Contains(productIDs, l.ProductID)
		if gone {
			ch.Free = append(ch.Free, l.ProductID)
		}
		return gone
	})
	if len(ch.Free) > 0 {
		ch.After.Version++
	}
	if len(ch.After.Lines) == 0 {
		ch.After.FirstLineAt, ch.After.ExpiresAt = time.Time{}, time.Time{}
	}
	return ch
}

// again adds what an earlier try has left on the shelf: each product is put there as its row says after the change, or
// taken off if there is no such row or the cart has expired.
func (ch Change) again(products []uuid.UUID, now time.Time) Change {
	if ch.Until.IsZero() {
		ch.Until = ch.After.ExpiresAt
	}
	for _, id := range products {
		if ch.concerns(id) {
			continue
		}
		if l := ch.After.Line(id); l != nil && l.Held && ch.After.Live(now) {
			ch.Hold = append(ch.Hold, event.OrderLine{ProductID: id, Quantity: l.Quantity})
		} else {
			ch.Free = append(ch.Free, id)
		}
	}
	return ch
}

// concerns says whether the change puts the product on the shelf or takes it off.
func (ch Change) concerns(id uuid.UUID) bool {
	of := func(l event.OrderLine) bool { return l.ProductID == id }
	return slices.ContainsFunc(ch.Hold, of) || slices.ContainsFunc(ch.Lower, of) || slices.Contains(ch.Free, id)
}

// holder is who holds what the change puts on the shelf.
func (ch *Change) holder() Holder {
	return Holder{CartID: ch.After.ID, Customer: ch.After.Customer, Checkout: ch.Checkout, Back: ch.Back}
}

// mark notes which of the holds are there, or refuses the change. What a limit lets go on no longer is given back, since it
// is the cart's no more.
func (ch *Change) mark(short map[uuid.UUID]Short) error {
	ch.Short = short
	if ch.Refuse != nil && len(short) > 0 {
		if err := ch.Refuse(short); err != nil {
			return err
		}
	}
	for _, h := range ch.Hold {
		if l := ch.After.Line(h.ProductID); l != nil {
			met, missing := short[h.ProductID]
			if missing && met.Limit != nil && l.Held {
				ch.Free = append(ch.Free, h.ProductID)
			}
			l.Held = !missing && (l.Held || ch.Checkout == "")
		}
	}
	return nil
}

// written gives the lines that the change adds or alters, and the products of those that it removes.
func (ch Change) written() (put []Line, gone []uuid.UUID) {
	before := make(map[uuid.UUID]Line, len(ch.Before.Lines))
	for _, l := range ch.Before.Lines {
		before[l.ProductID] = l
	}
	for _, l := range ch.After.Lines {
		if old, there := before[l.ProductID]; !there || old != l {
			put = append(put, l)
		}
		delete(before, l.ProductID)
	}
	for id := range before {
		gone = append(gone, id)
	}
	return put, gone
}
