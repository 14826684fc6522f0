package replay

// Line is one product of a basket, by its sku, and how many of it.
type Line struct {
	SKU      string
	Quantity int64
}

// Baskets reads the first so many invoices of the files, by time, as Run would play them; 0: all.
func Baskets(products, orders string, limit int) ([][]Line, error) {
	shop, err := load(Options{Products: products, Orders: orders, Limit: limit})
	if err != nil {
		return nil, err
	}
	baskets := make([][]Line, len(shop.invoices))
	for i, inv := range shop.invoices {
		for _, l := range inv.lines {
			baskets[i] = append(baskets[i], Line{SKU: l.sku, Quantity: l.quantity})
		}
	}
	return baskets, nil
}
