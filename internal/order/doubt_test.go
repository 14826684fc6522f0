package order_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/order"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A hold may be left behind when the call that takes it fails half way, and never when it was not even sent.
func TestHoldingThatFailsIsDoubtedUnlessNothingWasSent(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	broken := errors.New("broken")
	for failed, want := range map[error]int{broken: 1, fmt.Errorf("%w: %w", order.ErrNothingHeld, broken): 0} {
		s := newService(t, env, shop{holding: failed}, time.Hour)
		doubts := 0
		s.Doubt = func() { doubts++ }
		if _, _, err := s.Place(t.Context(), purchase("k", 1)); !errors.Is(err, broken) || doubts != want {
			t.Errorf("after %v: %d doubts, want %d: %v", failed, doubts, want, err)
		}
	}
}
