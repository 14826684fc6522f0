package reconcile

import (
	"slices"
	"testing"

	"github.com/google/uuid"
)

// What is known was added, however much it is; what was added may be forgotten, which costs a question and nothing else.
func TestNothingIsKnownThatWasNotAdded(t *testing.T) {
	t.Parallel()
	k := newKnown()
	some, others := make([]uuid.UUID, 50_000), make([]uuid.UUID, 50_000)
	for i := range some {
		some[i], others[i] = uuid.UUID{0: byte(i), 1: byte(i >> 8), 15: 1}, uuid.UUID{0: byte(i), 1: byte(i >> 8), 15: 2}
	}
	k.add(some)
	if left := k.without(slices.Clone(others)); len(left) != len(others) {
		t.Errorf("%d of %d strangers are known", len(others)-len(left), len(others))
	}
	if left := k.without(slices.Clone(some)); len(left) > len(some)/20 {
		t.Errorf("%d of %d are forgotten", len(left), len(some))
	}
	k.add(some[:1])
	if left := k.without(some[:1:1]); len(left) != 0 {
		t.Error("what was added last is not known")
	}
}
