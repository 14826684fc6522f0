package cart_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// TestACrowdEndsEqual lets many customers write at once on two instances, some of them what Postgres refuses: each fails or
// succeeds for itself, and what was answered as held is in the rows and on the shelf.
func TestACrowdEndsEqual(t *testing.T) {
	t.Parallel()
	const tooMany = 1_500_000_000 // for a row, but not for the shelf or for these rules
	rules := usual
	rules.MaxQuantity = 2 * tooMany
	s := newShop(t, rules)
	p := s.product(1_000_000_000_000)
	instances := []*shop{s, s.instance()}
	want := map[string]int64{}
	var all sync.WaitGroup
	for n := range 60 {
		customer := fmt.Sprintf("customer-%d", n)
		refused := n%5 == 0
		if !refused {
			want[customer] = 4
		}
		for q := range int64(4) {
			all.Go(func() {
				quantity := int64(4)
				if refused {
					quantity = tooMany
				}
				_, err := instances[(n+int(q))%2].carts.Put(t.Context(), customer, p, quantity)
				if (err == nil) == refused && !fault.Is(err, fault.Conflict) {
					t.Errorf("%s sets %d: %v", customer, quantity, err)
				}
			})
		}
	}
	all.Wait()
	got := map[string]int64{}
	for n := range 60 {
		customer := fmt.Sprintf("customer-%d", n)
		for _, l := range s.get(customer).Items {
			got[customer] = l.Quantity
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("carts differ (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(s.rows(p), s.onShelf(p)); diff != "" {
		t.Errorf("rows and shelf differ (-rows +shelf):\n%s", diff)
	}
}
