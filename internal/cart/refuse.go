package cart

import (
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// cannotHold refuses a line that there are not enough units for, or that is over a limit.
func cannotHold(p Product, quantity int64) func(map[uuid.UUID]Short) error {
	return func(short map[uuid.UUID]Short) error {
		s, missing := short[p.ID]
		if !missing {
			return nil
		}
		line := fault.Line{Field: "quantity", ProductID: p.ID.String(), SKU: p.SKU, Detail: "not enough in stock", Requested: &quantity, Available: &s.Available}
		f := fault.New(fault.OutOfStock, "there are not %d units of it to be had, but %d", quantity, s.Available)
		if s.Limit != nil {
			f, line.Detail = overLimit(*s.Limit), "over a limit"
			line.Limit, line.Allowed = s.Limit.Name, &s.Limit.Allowed
		}
		f.Available = &s.Available
		return f.With(line)
	}
}

// overLimit says in words which limit was met.
func overLimit(l fault.Limit) *fault.Error {
	switch l.Name {
	case fault.MaxHeldShare:
		return fault.Exceeded(l, "carts hold as much of it as they may, %d units; the rest can be bought at once, without a cart", l.Allowed)
	case fault.HoldMaxAge:
		return fault.Exceeded(l, "you have held it for as long as one may, %d seconds: wait, or buy it at once", l.Allowed)
	case fault.MaxHolds:
		return fault.Exceeded(l, "you have %d orders of it under way: wait until some have ended", l.Allowed)
	default:
		return fault.Exceeded(l, "one customer may hold or have on order %d units of it", l.Allowed)
	}
}

// notHeld refuses a checkout whose lines are not held and cannot be again.
func notHeld(kind fault.Kind, lines []Line, short map[uuid.UUID]Short) error {
	f := fault.New(kind, "some of the cart is not held any more and cannot be had again in these quantities")
	return refuseLines(f, "not held, and not enough in stock", lines, short)
}

// notCovered refuses a checkout whose units were taken away by an operator while they were held.
func notCovered(lines []Line, short map[uuid.UUID]Short) error {
	f := fault.New(fault.OutOfStock, "the shop has fewer units of it than were in carts, and others have bought them: set the lines to what is left")
	return refuseLines(f, "not enough in stock", lines, short)
}

func refuseLines(f *fault.Error, detail string, lines []Line, short map[uuid.UUID]Short) error {
	for _, l := range lines {
		s, missing := short[l.ProductID]
		if !missing {
			continue
		}
		line := fault.Line{ProductID: l.ProductID.String(), Detail: detail, Requested: &l.Quantity, Available: &s.Available}
		if s.Limit != nil {
			line.Detail, line.Limit, line.Allowed = "not held, and over a limit", s.Limit.Name, &s.Limit.Allowed
		}
		f = f.With(line)
	}
	if len(f.Lines) == 1 {
		f.Available = f.Lines[0].Available
	}
	return f
}

// unavailable says whether the shelf could not be reached, rather than that something is wrong with it.
func unavailable(err error) bool {
	return redisx.Unavailable(err) || fault.Is(err, fault.Unavailable)
}

// shelfError tells a caller that units cannot be held at the moment.
func shelfError(err error) error {
	if !unavailable(err) {
		return err
	}
	f := fault.New(fault.Unavailable, "units cannot be held at the moment: try again").Because(err)
	f.RetryAfter = time.Second
	return f
}
