package cart

import (
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
)

// outOfStock refuses a line that there are not enough units for.
func outOfStock(p Product, quantity int64) func(map[uuid.UUID]int64) error {
	return func(short map[uuid.UUID]int64) error {
		available, missing := short[p.ID]
		if !missing {
			return nil
		}
		f := fault.New(fault.OutOfStock, "there are not %d units of it to be had, but %d", quantity, available)
		f.Available = &available
		return f.With(fault.Line{Field: "quantity", ProductID: p.ID.String(), SKU: p.SKU, Detail: "not enough in stock", Requested: &quantity, Available: &available})
	}
}

// notHeld refuses a checkout whose lines are not held and cannot be again.
func notHeld(kind fault.Kind, lines []Line, short map[uuid.UUID]int64) error {
	f := fault.New(kind, "some of the cart is not held any more and cannot be had again in these quantities")
	for _, l := range lines {
		if available, missing := short[l.ProductID]; missing {
			f = f.With(fault.Line{ProductID: l.ProductID.String(), Detail: "not held, and not enough in stock", Requested: &l.Quantity, Available: &available})
		}
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
