package cart

import (
	"context"
	"hash/maphash"
	"math/rand/v2"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// turnstile lets one call of a customer through at a time. It spares the work of losing races; what makes them harmless is
// the guard on the rows, since another instance has a turnstile of its own.
type turnstile struct {
	seed  maphash.Seed
	gates [1024]chan struct{} // customers share gates; by chance, and briefly
}

func newTurnstile() *turnstile {
	t := &turnstile{seed: maphash.MakeSeed()}
	for i := range t.gates {
		t.gates[i] = make(chan struct{}, 1)
	}
	return t
}

// enter waits for the customer's turn until ctx ends.
func (t *turnstile) enter(ctx context.Context, customer string) (leave func(), err error) {
	gate := t.gates[maphash.String(t.seed, customer)%uint64(len(t.gates))]
	select {
	case gate <- struct{}{}:
		return func() { <-gate }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// pause waits a moment before a second try, longer before later ones.
func pause(ctx context.Context, try int) error {
	if try == 0 {
		return nil
	}
	return run.Pause(ctx, rand.N(time.Millisecond<<min(try, 6)))
}
