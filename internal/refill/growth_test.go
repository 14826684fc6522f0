package refill

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/broker"
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

// However many modules look through the same facts, these are read once.
func TestModulesReadWhatWasSaidOnce(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	facts := 2*pageRows + 500
	testkit.Keep(t, env.DB, facts)
	queues := map[string][]string{}
	for _, module := range []string{"order", "inventory", "payment", "view", "shelf"} {
		queues[module] = []string{"optimistic.order.ended"}
	}
	r := New(Options{DB: env.DB, Log: env.Log, Broker: broker.Config{Topology: broker.Topology{Queues: queues}}})
	states, err := r.states(t.Context())
	if err != nil || len(states) != len(queues) {
		t.Fatalf("%+v, %v", states, err)
	}
	var seen pages
	for _, s := range states {
		at := scan{mark: s.Relayed}
		if gaps, more, err := r.collect(t.Context(), s, &at, &seen); err != nil || len(gaps) > 0 || more || at.mark != s.Relayed {
			t.Errorf("%s: %d gaps, more %t, mark %d, %v", s.Module, len(gaps), more, at.mark, err)
		}
	}
	if seen.read != facts {
		t.Errorf("%d rows read of %d, for %d modules", seen.read, facts, len(states))
	}
}
