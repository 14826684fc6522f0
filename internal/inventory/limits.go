package inventory

import (
	"cmp"
	"context"
	"math"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// Limits are how much of a product may be held. The script that takes a hold decides them, so that no two requests can pass
// them together. They refuse what takes more, or holds for longer, than before; what is held already is left alone. Zero
// values are no limits.
type Limits struct {
	CustomerUnits int64         // of a product that one customer holds or has on order under way, in the cart and without it
	CustomerShare float64       // the same, as a share of the product's stock from 0 to 1; one unit at least
	HeldShare     float64       // of a product's stock that may be held where a cart asks for more; one unit at least. The rest is for who buys at once
	MaxAge        time.Duration // that one customer goes on holding a product in carts; counts with a Cooldown only
	Cooldown      time.Duration // a pause shorter than this does not end that time
	Purchases     Purchases     // to find out what is over, where a limit is met; nil: what was on order counts until its hold would have expired
}

// Purchases knows what has become of a customer's orders.
type Purchases interface {
	// Over gives those of the holds, whose units the books have taken, that no order under way has, and when the customer's
	// last order of each product was completed; products of which none was are left out.
	Over(ctx context.Context, customer string, holdIDs, productIDs []uuid.UUID) (over []uuid.UUID, bought map[uuid.UUID]time.Time, err error)
}

// Holder is who holds.
type Holder struct {
	HoldID   uuid.UUID
	Customer string // "": nobody who is measured by limits
	Buying   bool   // for an order: how long the customer has held, and what carts may hold, does not matter
	Checkout string // the token of a checkout that may come to nothing; "": none
	// Back is until when a checkout's products are held if it comes to nothing; those that are not there end with it.
	Back map[uuid.UUID]time.Time
}

// proof is what is known of a customer's orders.
type proof struct {
	over   map[uuid.UUID][]uuid.UUID // by product
	bought map[uuid.UUID]time.Time
}

// OfCustomers says whether it has to be known whose a hold is.
func (l Limits) OfCustomers() bool {
	return l.CustomerUnits > 0 || millionths(l.CustomerShare) < one || l.Cooldown > 0
}

// one is a whole, in millionths.
const one = 1_000_000

func millionths(share float64) int64 {
	if share <= 0 || share >= 1 {
		return one
	}
	return int64(math.Round(share * one))
}

// args adds the limits to the arguments of the script hold, as far as they matter to the holder.
func (l Limits) args(args []any, by Holder, known proof, product uuid.UUID) []any {
	owner, inAll, age := "", millionths(l.HeldShare), l.MaxAge
	if by.Customer != "" && l.OfCustomers() {
		owner = redisx.Owner(by.Customer)
	}
	if by.Customer == "" || by.Buying {
		inAll = one
	}
	if owner == "" && inAll == one {
		return args
	}
	if by.Buying || l.Cooldown <= 0 {
		age = 0
	}
	bought := int64(0)
	if at, ever := known.bought[product]; ever {
		bought = at.UnixMilli()
	}
	args = append(args, owner, inAll, l.CustomerUnits, millionths(l.CustomerShare), age.Milliseconds(), l.Cooldown.Milliseconds(), bought)
	for _, id := range known.over[product] {
		args = append(args, id.String())
	}
	return args
}

// dated is a hold's expiry as the scripts take it, with its owner where owners are kept, and a mark where it is an order's.
func (l Limits) dated(h LiveHold) any {
	owner, mark := "", ""
	if h.Customer != "" && l.OfCustomers() {
		owner = ":" + redisx.Owner(h.Customer)
	}
	if h.OrderID != uuid.Nil {
		owner, mark = cmp.Or(owner, ":"), ":"+OrderMark
	}
	return strconv.FormatInt(h.ExpiresAt.UnixMilli(), 10) + owner + mark
}

// names of the limits, in the order of the script's codes from 1.
var names = []string{fault.MaxHeldShare, fault.MaxCustomerUnits, fault.MaxProductShare, fault.HoldMaxAge, fault.MaxHolds}

// overLimit reads what the script answers to what is over a limit.
func overLimit(answer []any) held {
	code, allowed := number(answer, 2), number(answer, 3)
	met := fault.Limit{Name: names[max(1, min(code, int64(len(names))))-1], Allowed: allowed}
	if met.Name == fault.HoldMaxAge {
		met.Allowed = allowed / 1000
		met.Again = max(time.Second, clock.Until(time.UnixMilli(number(answer, 4))))
	}
	h := held{Answer: Answer{Available: number(answer, 1), Limit: &met}}
	for at := 5; at < len(answer); at++ {
		if text, ok := answer[at].(string); ok {
			if id, err := uuid.Parse(text); err == nil {
				h.taken = append(h.taken, id)
			}
		}
	}
	return h
}

// holdOrProve holds, and tries what is over a limit once more with what is known of the customer's orders, if that could
// make a difference: units of an order that has ended count no more, and who has bought begins anew.
func (s *Shelf) holdOrProve(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time) ([]held, error) {
	answers, err := s.hold(ctx, by, lines, until, proof{})
	if err != nil || s.Limits.Purchases == nil {
		return answers, err
	}
	var holds, products []uuid.UUID
	for i, a := range answers {
		if a.Limit != nil && (len(a.taken) > 0 || a.Limit.Name == fault.HoldMaxAge) {
			holds, products = append(holds, a.taken...), append(products, lines[i].ProductID)
		}
	}
	if len(products) == 0 {
		return answers, nil
	}
	over, bought, err := s.Limits.Purchases.Over(ctx, by.Customer, holds, products)
	if err != nil || len(over)+len(bought) == 0 {
		return answers, err
	}
	return s.holdProved(ctx, by, lines, until, answers, over, bought)
}

// holdProved tries those lines again of which something is known that the script did not know.
func (s *Shelf) holdProved(ctx context.Context, by Holder, lines []event.OrderLine, until time.Time, answers []held, over []uuid.UUID, bought map[uuid.UUID]time.Time) ([]held, error) {
	ended := make(map[uuid.UUID]bool, len(over))
	for _, id := range over {
		ended[id] = true
	}
	known := proof{over: map[uuid.UUID][]uuid.UUID{}, bought: bought}
	var again []event.OrderLine
	var at []int
	for i, a := range answers {
		if a.Limit == nil {
			continue
		}
		p := lines[i].ProductID
		for _, id := range a.taken {
			if ended[id] {
				known.over[p] = append(known.over[p], id)
			}
		}
		if _, ever := bought[p]; ever || len(known.over[p]) > 0 {
			again, at = append(again, lines[i]), append(at, i)
		}
	}
	second, err := s.hold(ctx, by, again, until, known)
	switch { // the first was sent, and may hold something
	case Loading(err):
		return nil, stillLoading(len(again))
	case err != nil:
		return nil, redisx.Sent(err)
	}
	for j, i := range at {
		answers[i] = second[j]
	}
	return answers, nil
}
