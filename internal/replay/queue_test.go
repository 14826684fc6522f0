package replay

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// Whatever the order in which invoices are finished: each is handed out once, those of a customer in their order and one
// at a time, and nobody waits for another customer.
func TestQueue(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		invoices := make([]invoice, rapid.IntRange(1, 40).Draw(t, "invoices"))
		for i := range invoices {
			invoices[i] = invoice{number: fmt.Sprint(i), customer: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "customer")}
		}
		q := newQueue(invoices)
		var out []int
		last := map[string]int{}
		seen := map[int]bool{}
		for q.left > 0 {
			for {
				i, ok := q.take()
				if !ok {
					break
				}
				customer := invoices[i].customer
				before, known := last[customer]
				if seen[i] || customer != "" && known && before >= i {
					t.Fatalf("invoice %d of %q handed out after %d", i, customer, before)
				}
				for _, other := range out {
					if customer != "" && invoices[other].customer == customer {
						t.Fatalf("invoices %d and %d of %q at once", other, i, customer)
					}
				}
				seen[i], last[customer] = true, i
				out = append(out, i)
			}
			if len(out) == 0 {
				t.Fatalf("%d left and none handed out", q.left)
			}
			n := rapid.IntRange(0, len(out)-1).Draw(t, "finished")
			i := out[n]
			out = append(out[:n], out[n+1:]...)
			q.finish(i)
		}
		if len(seen) != len(invoices) {
			t.Fatalf("%d of %d handed out", len(seen), len(invoices))
		}
	})
}
