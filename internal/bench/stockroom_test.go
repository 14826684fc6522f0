package bench

import (
	"testing"

	"github.com/google/uuid"
)

func TestCartsOfTheStockroom(t *testing.T) {
	t.Parallel()
	for _, size := range []int{leastCatalogue, 100_000, 123_456, 1_000_000} {
		s := &stockroom{place: &place{Options: Options{Catalogue: size}}}
		lines := 0
		for p, carts := range s.cartsOf() {
			seen := map[int]bool{}
			for _, c := range carts {
				if seen[c] || p < 0 || p >= size {
					t.Fatalf("of %d: product %d is in carts %v", size, p, carts)
				}
				seen[c] = true
				lines++
			}
		}
		if lines != s.carts()*linesPerCart {
			t.Errorf("of %d: %d lines, want %d", size, lines, s.carts()*linesPerCart)
		}
		if last := (drifted-1)*(s.carts()/drifted)*productsPerCart + 3; last >= size {
			t.Errorf("of %d: product %d is to be made wrong", size, last)
		}
	}
}

func TestNumberedIDs(t *testing.T) {
	t.Parallel()
	seen := map[uuid.UUID]bool{}
	for n := range 1000 {
		for kind := byte(1); kind < 4; kind++ {
			id := numbered(stockedAt, kind, n)
			if seen[id] || id.Version() != 7 || id.Variant() != uuid.RFC4122 {
				t.Fatalf("%d of kind %d is %s", n, kind, id)
			}
			seen[id] = true
		}
		if n > 0 && productID(n-1).String() >= productID(n).String() {
			t.Fatal("products are not in the order of their numbers")
		}
	}
}
