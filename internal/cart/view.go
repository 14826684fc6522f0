package cart

import (
	"time"

	"github.com/google/uuid"
)

// View is a cart as its customer is shown it. A customer who has none is shown an empty one without an id.
type View struct {
	ID         *uuid.UUID `json:"id" format:"uuid" extensions:"x-nullable"`
	Version    int64      `json:"version"`                            // grows with each change of the items
	ExpiresAt  *time.Time `json:"expires_at" extensions:"x-nullable"` // until when the items are held
	Items      []Item     `json:"items"`                              // in the order in which they were added
	TotalMinor int64      `json:"total_minor"`                        // sum of the subtotals
	Currency   *string    `json:"currency" extensions:"x-nullable"`   // ISO 4217
}

// Item is a line of the view.
type Item struct {
	ProductID      uuid.UUID `json:"product_id" format:"uuid"`
	SKU            string    `json:"sku" example:"22423"`
	Name           string    `json:"name"`
	Quantity       int64     `json:"quantity"`
	UnitPriceMinor int64     `json:"unit_price_minor" example:"1275"`
	SubtotalMinor  int64     `json:"subtotal_minor" example:"2550"`
	Held           bool      `json:"held"` // whether a checkout at this moment has the units
}

func newView(c Cart, products map[uuid.UUID]Product, now time.Time) View {
	v := View{Version: c.Version, Items: make([]Item, len(c.Lines)), TotalMinor: Total(c.Lines)}
	if c.ID != uuid.Nil {
		v.ID = &c.ID
	}
	if !c.ExpiresAt.IsZero() {
		expires := c.ExpiresAt.UTC()
		v.ExpiresAt = &expires
	}
	if len(c.Lines) > 0 {
		v.Currency = &c.Lines[0].Currency
	}
	live := c.Live(now)
	for i, l := range c.Lines {
		p := products[l.ProductID]
		v.Items[i] = Item{
			ProductID: l.ProductID, SKU: p.SKU, Name: p.Name, Quantity: l.Quantity,
			UnitPriceMinor: l.UnitPriceMinor, SubtotalMinor: Subtotal(l), Held: live && l.Held,
		}
	}
	return v
}

// reprice puts the catalogue's prices on the lines and gives those that were not shown before.
func reprice(c *Cart, products map[uuid.UUID]Product) []Line {
	var changed []Line
	for i := range c.Lines {
		l := &c.Lines[i]
		p, known := products[l.ProductID]
		if known && (p.UnitPriceMinor != l.UnitPriceMinor || p.Currency != l.Currency) {
			l.UnitPriceMinor, l.Currency = p.UnitPriceMinor, p.Currency
			changed = append(changed, *l)
		}
	}
	return changed
}
