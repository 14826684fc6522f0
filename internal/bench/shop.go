package bench

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// skew makes the first fifth of the products 64 percent of the lines, as in the shop whose orders `holdfast replay` plays:
// a product's rank is a uniform number to this power.
var skew = math.Log(0.2) / math.Log(0.64)

// quantities of a line: the middle one is 4, as in the same shop.
var quantities = []int64{1, 1, 2, 3, 4, 4, 6, 8, 10, 12, 24}

// openingStock is more than any run can sell.
const openingStock = 100_000_000

// article is a product of the catalogue, the same in every database of a run.
type article struct {
	ID    string // the server's; empty until it was made
	SKU   string
	Name  string
	Price int64 // minor units
}

// shop is the catalogue and what is bought of it.
type shop struct {
	articles []article
	lines    int
	seed     uint64
}

func newShop(o Options) *shop {
	rng := rand.New(rand.NewPCG(o.Seed, 0))
	s := &shop{articles: make([]article, o.Products), lines: o.Lines, seed: o.Seed}
	for i := range s.articles {
		s.articles[i] = article{SKU: fmt.Sprintf("%05d", 10_000+i), Name: fmt.Sprintf("BENCH ARTICLE NUMBER %05d", i), Price: 10 + rng.Int64N(2000)}
	}
	return s
}

// bought is one line of an order.
type bought struct {
	article
	Quantity int64
}

// order gives the lines of the n-th order: different products, the popular ones more often.
func (s *shop) order(n int) []bought {
	rng := rand.New(rand.NewPCG(s.seed, uint64(n)+1))
	lines := make([]bought, 0, s.lines)
	taken := make(map[int]bool, s.lines)
	for len(lines) < s.lines {
		i := int(float64(len(s.articles)) * math.Pow(rng.Float64(), skew))
		if taken[i] {
			continue
		}
		taken[i] = true
		lines = append(lines, bought{s.articles[i], quantities[rng.IntN(len(quantities))]})
	}
	return lines
}
