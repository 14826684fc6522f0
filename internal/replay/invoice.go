package replay

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// invoice is what one customer buys at once.
type invoice struct {
	number   string
	customer string // empty: a guest
	at       time.Time
	lines    []line
	plan     plan
}

// line is a product and how many of it. The same sku on two rows of an invoice is one line.
type line struct {
	sku      string
	quantity int64
}

// shop is what a run plays with.
type shop struct {
	products []product // of the file, and what the invoices name beyond it
	invoices []invoice // those to be played, by time
	lines    int       // of the invoices
	skip     skipped
}

// load reads the files and plans the run.
func load(o Options) (shop, error) {
	products, err := readProducts(o.Products)
	if err != nil {
		return shop{}, fmt.Errorf("read products: %w", err)
	}
	rows, skip, err := readOrders(o.Orders)
	if err != nil {
		return shop{}, fmt.Errorf("read orders: %w", err)
	}
	invoices := group(rows)
	if o.Limit > 0 && o.Limit < len(invoices) {
		invoices = invoices[:o.Limit]
	}
	if len(invoices) == 0 {
		return shop{}, fmt.Errorf("read orders: %s: no invoice to play", o.Orders)
	}
	planAll(invoices, o)
	s := shop{products: complete(products, rows, invoices), invoices: invoices, skip: skip}
	setStock(s.products, invoices, o.StockFactor)
	for _, inv := range invoices {
		s.lines += len(inv.lines)
	}
	return s, nil
}

// group makes invoices of rows, in the order of their times; of the same time, in the order of the file.
func group(rows []row) []invoice {
	type key struct{ number, customer string }
	type place struct {
		key
		sku string
	}
	var invoices []invoice
	at := map[key]int{}
	lineAt := map[place]int{}
	for _, r := range rows {
		k := key{r.invoice, r.customer}
		i, known := at[k]
		if !known {
			i = len(invoices)
			at[k] = i
			invoices = append(invoices, invoice{number: r.invoice, customer: r.customer, at: r.at})
		}
		inv := &invoices[i]
		if j, twice := lineAt[place{k, r.sku}]; twice {
			inv.lines[j].quantity += r.quantity
			continue
		}
		lineAt[place{k, r.sku}] = len(inv.lines)
		inv.lines = append(inv.lines, line{r.sku, r.quantity})
	}
	slices.SortStableFunc(invoices, func(a, b invoice) int { return a.at.Compare(b.at) })
	return invoices
}

// complete adds what the invoices name and the file of products does not have, at the lowest price it was sold for.
func complete(products []product, rows []row, invoices []invoice) []product {
	have := map[string]bool{}
	for _, p := range products {
		have[p.sku] = true
	}
	price := map[string]int64{}
	for _, r := range rows {
		if old, ok := price[r.sku]; r.price > 0 && (!ok || r.price < old) {
			price[r.sku] = r.price
		}
	}
	for _, inv := range invoices {
		for _, l := range inv.lines {
			if !have[l.sku] {
				have[l.sku] = true
				products = append(products, product{sku: l.sku, name: l.sku, price: cmp.Or(price[l.sku], 1)})
			}
		}
	}
	return products
}

// setStock gives each product its factor of what the invoices ask for, rounded up.
func setStock(products []product, invoices []invoice, factor float64) {
	demand := map[string]int64{}
	for _, inv := range invoices {
		for _, l := range inv.lines {
			demand[l.sku] += l.quantity
		}
	}
	for i, p := range products {
		products[i].stock = int64(math.Ceil(factor * float64(demand[p.sku])))
	}
}
