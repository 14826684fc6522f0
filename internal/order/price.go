package order

import (
	"context"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// maxTotal keeps the sum of many orders far from the end of an int64, and a total exact in every client's numbers. All amounts
// are whole minor units of their currency, whatever its digits: nothing is ever rounded.
const maxTotal = 1<<53 - 1

// price puts names, prices and the total on an order's lines, from the catalogue of this moment.
func (s *Service) price(ctx context.Context, o *Order, items []Item) error {
	ids := make([]uuid.UUID, len(items))
	for i, item := range items {
		ids[i] = item.ProductID
	}
	products, err := s.ports.Catalogue.Products(ctx, ids)
	if err != nil {
		return err
	}
	var wrong []fault.Line
	for i, item := range items {
		product, known := products[item.ProductID]
		switch {
		case !known:
			wrong = append(wrong, wrongLine(i, item, "There is no such product."))
		case o.Terms.Currency != "" && o.Terms.Currency != product.Currency:
			wrong = append(wrong, wrongLine(i, item, "Its currency is not that of the first line."))
		case !o.add(product, item.Quantity):
			wrong = append(wrong, wrongLine(i, item, "The total is too large."))
		}
	}
	if wrong != nil {
		return fault.Unprocessable("These lines cannot be ordered.").With(wrong...)
	}
	return nil
}

// add puts a line on a new order. It refuses one that would make the total too large.
func (o *Order) add(p Product, quantity int64) bool {
	if p.UnitPriceMinor > 0 && quantity > (maxTotal-o.Terms.TotalMinor)/p.UnitPriceMinor {
		return false
	}
	o.Terms.Currency = p.Currency
	o.Terms.TotalMinor += p.UnitPriceMinor * quantity
	o.Lines = append(o.Lines, Line{ProductID: p.ID, SKU: p.SKU, Name: p.Name, Quantity: quantity, UnitPriceMinor: p.UnitPriceMinor})
	return true
}

// keepPromise refuses an order of a cart that would cost another price than the customer was last shown: price-changed, with
// both. The cart shows the new prices from then on.
func (s *Service) keepPromise(ctx context.Context, o *Order, b Basket) error {
	var changed []fault.Line
	for i, l := range o.Lines {
		now := fault.Price{UnitPriceMinor: l.UnitPriceMinor, Currency: o.Terms.Currency}
		if b.Shown[i] != now {
			line := wrongLine(i, b.Items[i], "Its price has changed.")
			line.SKU, line.Was, line.Now = l.SKU, &b.Shown[i], &now
			changed = append(changed, line)
		}
	}
	if changed == nil {
		return nil
	}
	if err := s.ports.Carts.ShowPrices(ctx, b.CartID, o.Lines, o.Terms.Currency); err != nil {
		return err
	}
	f := fault.New(fault.PriceChanged, "Prices have changed since the cart was shown. Buy again to buy at the new ones.").With(changed...)
	f.Total = &fault.Total{TotalMinor: o.Terms.TotalMinor, Currency: o.Terms.Currency}
	return f
}
