package refill

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// What is looked at every second costs the same however many facts are kept.
func TestLookCostsTheSameHoweverMuchIsKept(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	modules := []string{"order", "inventory", "payment", "view", "shelf"}
	testkit.Keep(t, env.DB, 3000)
	few := testkit.Reads(t, env.DB, statesSQL, modules)
	testkit.Keep(t, env.DB, 9000)
	if many := testkit.Reads(t, env.DB, statesSQL, modules); many > few+10 {
		t.Errorf("%d pages with 3,000 facts, %d with 12,000", few, many)
	}
}
