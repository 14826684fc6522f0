package bench

import (
	"slices"
	"testing"
)

func TestOrdersAreLikeThoseOfTheShop(t *testing.T) {
	t.Parallel()
	o := Options{Products: 3500, Lines: 25, Seed: 1}
	s := newShop(o)
	popular, lines := 0, 0
	for n := range 2000 {
		seen := map[string]bool{}
		for _, l := range s.order(n) {
			if seen[l.SKU] || l.Quantity < 1 {
				t.Fatalf("order %d: %+v", n, l)
			}
			seen[l.SKU] = true
			lines++
			if l.SKU < "10700" {
				popular++
			}
		}
	}
	if share := float64(popular) / float64(lines); lines != 50_000 || share < 0.60 || share > 0.66 {
		t.Errorf("%d lines, %.2f of them of the first fifth of the products, want 0.64 or a little less", lines, share)
	}
	if !slices.Equal(s.order(17), newShop(o).order(17)) {
		t.Error("the same seed bought something else")
	}
}
