package cart

import (
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// State is where a cart is in its life. Only an open cart changes; each customer has at most one.
type State string

// The states. A cart that does not exist yet has none.
const (
	Open    State = "OPEN"
	Bought  State = "BOUGHT"  // an order took it
	Dropped State = "DROPPED" // it was left alone for too long after it expired
)

// Line is one product in a cart.
type Line struct {
	ProductID      uuid.UUID
	Quantity       int64
	UnitPriceMinor int64  // the price last shown to the customer
	Currency       string // of that price
	Held           bool   // its units are held for as long as the cart lives
}

// Cart is what a customer means to buy, and until when its units are held.
type Cart struct {
	ID          uuid.UUID // zero for a customer who has no cart
	Customer    string
	State       State
	Version     int64     // one more for each change of the lines
	Turn        int64     // one more for each write; 0 for a cart that has no row yet
	FirstLineAt time.Time // since when it holds units; zero without lines
	ExpiresAt   time.Time // its one expiry; zero without lines
	Lines       []Line    // in the order in which they were added
}

// Live says whether the cart's units are held at that moment.
func (c Cart) Live(now time.Time) bool { return !c.ExpiresAt.IsZero() && now.Before(c.ExpiresAt) }

// Line gives the line of a product, or nil.
func (c *Cart) Line(productID uuid.UUID) *Line {
	for i := range c.Lines {
		if c.Lines[i].ProductID == productID {
			return &c.Lines[i]
		}
	}
	return nil
}

// ProductIDs are the products of the lines, in their order.
func (c Cart) ProductIDs() []uuid.UUID {
	ids := make([]uuid.UUID, len(c.Lines))
	for i, l := range c.Lines {
		ids[i] = l.ProductID
	}
	return ids
}

func (c Cart) clone() Cart {
	c.Lines = slices.Clone(c.Lines)
	return c
}

// Product is what a cart needs to know of a product.
type Product struct {
	ID             uuid.UUID
	SKU            string
	Name           string
	UnitPriceMinor int64
	Currency       string
	CutAt          *time.Time // when an operator last took units of it away
}

// maxTotal keeps every amount exact in programs whose numbers are doubles.
const maxTotal = 1<<53 - 1

// Rules are the limits of a cart and of its holds.
type Rules struct {
	TTL         time.Duration // how long units are held after the cart was last used
	MaxAge      time.Duration // how long they are held at most after the first line
	MaxLines    int           // per cart
	MaxQuantity int64         // per line
	MaxUnits    int64         // per cart; 0: any number
}

// Set works out what setting a product's line to quantity, absolutely, does to a cart. 0 removes the line.
// It refuses quantities outside 0..MaxQuantity, too many lines, a second currency and totals that cannot be charged.
func (r Rules) Set(c Cart, p Product, quantity int64, now time.Time) (Change, error) {
	if err := r.checkQuantity(p, quantity); err != nil {
		return Change{}, err
	}
	if quantity == 0 {
		return Remove(c, p.ID), nil
	}
	ch := Change{Before: c, After: c.clone(), Refuse: cannotHold(p, quantity)}
	line := ch.After.Line(p.ID)
	switch {
	case line == nil:
		if len(c.Lines) >= r.MaxLines {
			return Change{}, fault.Exceeded(fault.Limit{Name: fault.MaxLines, Allowed: int64(r.MaxLines)}, "a cart has at most %d lines", r.MaxLines)
		}
		ch.After.Lines = append(ch.After.Lines, Line{ProductID: p.ID, Currency: p.Currency})
		line = &ch.After.Lines[len(ch.After.Lines)-1]
	case line.Quantity == quantity && line.Held && !r.due(c, now):
		return Change{Before: c, After: c}, nil
	}
	if line.Quantity != quantity {
		ch.After.Version++
	}
	if err := r.checkUnits(c, p, quantity); err != nil {
		return Change{}, err
	}
	had := int64(0) // units of it that are on the shelf
	if line.Held && c.Live(now) {
		had = line.Quantity
	}
	line.Quantity, line.UnitPriceMinor, line.Currency, line.Held = quantity, p.UnitPriceMinor, p.Currency, true
	if err := checkTotal(ch.After); err != nil {
		return Change{}, err
	}
	r.place(&ch, *line, had, now)
	return ch, nil
}

// place works out what a line that was set needs of the shelf: the line alone, or all lines if the expiry moves. A line of
// which had units are there already, and more than it needs, is lowered after the rows.
func (r Rules) place(ch *Change, set Line, had int64, now time.Time) {
	moves := r.due(ch.Before, now)
	if moves {
		r.renew(&ch.After, now)
	}
	ch.Until = ch.After.ExpiresAt
	if had > set.Quantity {
		ch.Lower = orderLines([]Line{set})
	}
	for _, l := range ch.After.Lines {
		switch {
		case l.ProductID != set.ProductID && moves:
			ch.Hold = append(ch.Hold, event.OrderLine{ProductID: l.ProductID, Quantity: l.Quantity})
		case l.ProductID == set.ProductID && (moves || had <= set.Quantity):
			ch.Hold = append(ch.Hold, event.OrderLine{ProductID: l.ProductID, Quantity: max(had, l.Quantity)})
		}
	}
}

func (r Rules) checkQuantity(p Product, quantity int64) error {
	line := fault.Line{Field: "quantity", ProductID: p.ID.String(), SKU: p.SKU, Requested: &quantity}
	switch {
	case quantity < 0:
		line.Detail = "must not be negative"
		return fault.Unprocessable("a quantity is 0 or more").With(line)
	case quantity > r.MaxQuantity:
		line.Detail, line.Limit, line.Allowed = "too many", fault.MaxQuantity, &r.MaxQuantity
		return fault.Exceeded(fault.Limit{Name: fault.MaxQuantity, Allowed: r.MaxQuantity}, "a line has at most %d units", r.MaxQuantity).With(line)
	}
	return nil
}

// checkUnits refuses a line that would bring more units into the cart than a cart has. One that takes units out is never refused.
func (r Rules) checkUnits(c Cart, p Product, quantity int64) error {
	var units, had int64
	for _, l := range c.Lines {
		if units += l.Quantity; l.ProductID == p.ID {
			had = l.Quantity
		}
	}
	if r.MaxUnits == 0 || quantity <= had || units-had+quantity <= r.MaxUnits {
		return nil
	}
	room := max(r.MaxUnits-units+had, 0)
	line := fault.Line{
		Field: "quantity", ProductID: p.ID.String(), SKU: p.SKU, Detail: "too many in all", Requested: &quantity, Available: &room,
		Limit: fault.MaxCartUnits, Allowed: &r.MaxUnits,
	}
	return fault.Exceeded(fault.Limit{Name: fault.MaxCartUnits, Allowed: r.MaxUnits}, "a cart has at most %d units", r.MaxUnits).With(line)
}

// checkTotal refuses a cart that one payment cannot pay: two currencies, or more than can be counted.
func checkTotal(c Cart) error {
	for _, l := range c.Lines[1:] {
		if l.Currency != c.Lines[0].Currency {
			return fault.Unprocessable("a cart is paid in one currency: there are %s and %s in it", c.Lines[0].Currency, l.Currency)
		}
	}
	if Total(c.Lines) > maxTotal {
		return fault.Exceeded(fault.Limit{Name: fault.MaxTotal, Allowed: maxTotal}, "the cart's total is more than can be charged at once")
	}
	return nil
}

// Total is the sum of the lines in minor units. What would not fit is the largest int64.
func Total(lines []Line) int64 {
	var total int64
	for _, l := range lines {
		sub := Subtotal(l)
		if total > math.MaxInt64-sub {
			return math.MaxInt64
		}
		total += sub
	}
	return total
}

// Subtotal is a line's price in minor units. What would not fit is the largest int64.
func Subtotal(l Line) int64 {
	if l.UnitPriceMinor > 0 && l.Quantity > math.MaxInt64/l.UnitPriceMinor {
		return math.MaxInt64
	}
	return l.UnitPriceMinor * l.Quantity
}

// due says whether a use of the cart moves its expiry: it has none, it has passed, or less than half is left and its age
// allows more.
func (r Rules) due(c Cart, now time.Time) bool {
	if !c.Live(now) {
		return true
	}
	return c.ExpiresAt.Sub(now) < r.TTL/2 && r.latest(c.FirstLineAt, now).After(c.ExpiresAt)
}

// renew moves the expiry. A cart that is empty or has expired begins a new life; what it held is anyone's until it holds it
// again.
func (r Rules) renew(c *Cart, now time.Time) {
	if !c.Live(now) {
		c.FirstLineAt = now
	}
	c.ExpiresAt = r.latest(c.FirstLineAt, now)
}

// latest is the expiry that a use gives: TTL from now, but never beyond MaxAge after the first line. To the millisecond, as
// Redis counts.
func (r Rules) latest(first, now time.Time) time.Time {
	t, end := now.Add(r.TTL), first.Add(r.MaxAge)
	if end.Before(t) {
		t = end
	}
	return t.Truncate(time.Millisecond)
}

func orderLines(lines []Line) []event.OrderLine {
	out := make([]event.OrderLine, len(lines))
	for i, l := range lines {
		out[i] = event.OrderLine{ProductID: l.ProductID, Quantity: l.Quantity}
	}
	return out
}
