package cart

import (
	"context"

	"github.com/google/uuid"
)

// uncovered gives the cart with those lines as not held that a checkout at this moment would not get, as far as the shelf can be asked.
// The rows say what the cart was promised. Only what was in carts when an operator took units away can be more than there is, and
// carts hold nothing for longer than MaxAge: so usually there is nothing to ask for.
func (s *Service) uncovered(ctx context.Context, m moment) Cart {
	c := m.cart.clone()
	if !c.Live(m.now) {
		return c
	}
	var cut []uuid.UUID
	for _, l := range c.Lines {
		if at := m.products[l.ProductID].CutAt; l.Held && at != nil && m.now.Sub(*at) < s.rules.MaxAge {
			cut = append(cut, l.ProductID)
		}
	}
	if cut == nil {
		return c
	}
	covered, err := s.shelf.Covered(ctx, c.ID, cut)
	if err != nil {
		s.log.DebugContext(ctx, "a cart is shown on the word of its rows", "cart", c.ID, "error", err)
		return c
	}
	for _, id := range cut {
		l := c.Line(id)
		l.Held = covered[id] >= l.Quantity
	}
	return c
}
