package compare

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/holdfast-checkout/holdfast/internal/replay"
)

// order is what one customer wants at once.
type order struct {
	lines    []replay.Line
	declined bool // it is paid with a method that is declined
}

// skew makes the first fifth of the products 64 percent of the lines, as in the shop whose orders `holdfast replay` plays: a
// product's rank is a uniform number to this power.
var skew = math.Log(0.2) / math.Log(0.64)

// orders makes the load, the same for every cell.
func (o Options) orders() ([]order, error) {
	var orders []order
	switch o.Load {
	case Data:
		baskets, err := replay.Baskets(o.ProductsFile, o.OrdersFile, o.Orders)
		if err != nil {
			return nil, err
		}
		for _, lines := range baskets {
			orders = append(orders, order{lines: lines})
		}
	case Hot:
		orders = make([]order, o.Orders)
		for i := range orders {
			orders[i].lines = []replay.Line{{SKU: sku(0), Quantity: 1}}
		}
	case Spread:
		orders = make([]order, o.Orders)
		for i := range orders {
			orders[i].lines = o.spread(uint64(i))
		}
	}
	for i := range orders {
		orders[i].declined = rand.New(rand.NewPCG(o.Seed, uint64(i))).Float64() < o.Decline
	}
	return orders, nil
}

// spread gives the lines of the n-th order: one unit each of different products.
func (o Options) spread(n uint64) []replay.Line {
	rng := rand.New(rand.NewPCG(^o.Seed, n))
	lines, taken := make([]replay.Line, 0, o.Lines), map[int]bool{}
	for len(lines) < o.Lines {
		p := int(float64(o.Products) * math.Pow(rng.Float64(), skew))
		if !taken[p] {
			taken[p] = true
			lines = append(lines, replay.Line{SKU: sku(p), Quantity: 1})
		}
	}
	return lines
}

func sku(n int) string { return fmt.Sprintf("%05d", n) }

// demand is how many units of each product the orders want.
func demand(orders []order) map[string]int64 {
	units := map[string]int64{}
	for _, o := range orders {
		for _, l := range o.lines {
			units[l.SKU] += l.Quantity
		}
	}
	return units
}

// openingStock gives each product what the orders want of it. In a flash sale the product that most orders want has few units.
func (o Options) openingStock(orders []order, stock string) map[string]int64 {
	units := demand(orders)
	if stock == Flash {
		sale := mostWanted(orders)
		units[sale] = min(units[sale], o.FlashUnits)
	}
	return units
}

// mostWanted is the product that is in most orders; of several the first by name.
func mostWanted(orders []order) string {
	in, most := map[string]int{}, ""
	for _, o := range orders {
		for _, l := range o.lines {
			in[l.SKU]++
		}
	}
	for sku, n := range in {
		if most == "" || n > in[most] || n == in[most] && sku < most {
			most = sku
		}
	}
	return most
}

func linesPerOrder(orders []order) float64 {
	lines := 0
	for _, o := range orders {
		lines += len(o.lines)
	}
	return float64(lines) / float64(max(len(orders), 1))
}

// turnedAway counts the orders that had no stock though what was left at the end would have served them, one after another.
func turnedAway(without []order, left map[string]int64) int {
	n := 0
	for _, o := range without {
		if take(o, left) {
			n++
		}
	}
	return n
}

// take takes an order's units from what is left, all or none.
func take(o order, left map[string]int64) bool {
	for _, l := range o.lines {
		if left[l.SKU] < l.Quantity {
			return false
		}
	}
	for _, l := range o.lines {
		left[l.SKU] -= l.Quantity
	}
	return true
}
