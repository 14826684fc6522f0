package payment_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// icy is a provider that freezes whoever asks it, once for each order: before the call or after its answer, as drawn.
type icy struct {
	payment.Provider
	thaw   chan struct{}
	frozen *atomic.Int64

	mu    *sync.Mutex
	drawn map[uuid.UUID]int // before which of its moments an order's caller freezes
}

func (i icy) moment(order uuid.UUID) {
	i.mu.Lock()
	i.drawn[order]--
	stop := i.drawn[order] == 0
	i.mu.Unlock()
	if stop {
		i.frozen.Add(1)
		<-i.thaw
	}
}

func (i icy) Charge(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	i.moment(in.OrderID)
	o, err := i.Provider.Charge(ctx, in)
	i.moment(in.OrderID)
	return o, err
}

func (i icy) Lookup(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	i.moment(in.OrderID)
	o, err := i.Provider.Lookup(ctx, in)
	i.moment(in.OrderID)
	return o, err
}

// A charger freezes between its claims and its calls, at moments that are drawn, others finish its payments, and it wakes up when the
// provider has forgotten every key: nobody is charged twice.
func TestFrozenChargerChargesNobodyTwice(t *testing.T) {
	t.Parallel()
	draw := rand.New(rand.NewPCG(testkit.Seed(t), 0))
	var ahead atomic.Int64 // of the provider's clock
	w := newWorld(t, func(o *sandbox.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	const payments = 60
	i := icy{Provider: w.provider, thaw: make(chan struct{}), frozen: &atomic.Int64{}, mu: &sync.Mutex{}, drawn: map[uuid.UUID]int{}}
	var bought []purchase
	var facts []event.Fact
	for n := range payments {
		p := buy("pm_ok")
		bought, facts = append(bought, p), append(facts, p.fact(event.OrderCreated))
		i.drawn[p.id] = 1 + draw.IntN(2) // around its charge
		if n%2 == 0 {
			i.drawn[p.id] = 1 + draw.IntN(4) // around its look-up and its charge
		}
	}
	tried, _, stop := w.charger(deaf{stuck{w.provider}})
	w.hear(tried.Charge, slices.Collect(func(yield func(event.Fact) bool) {
		for n := 0; n < payments; n += 2 {
			if !yield(facts[n]) {
				return
			}
		}
	})...)
	for n := 0; n < payments; n += 2 {
		w.reach(bought[n].id, payment.Unknown)
	}
	stop()
	_, _, stopFrozen := w.charger(i, func(o *payment.ChargerOptions) { o.Lease = 500 * time.Millisecond })
	w.hear(w.idle().Charge, facts...)
	testkit.Eventually(t, enough, func() error {
		if n := i.frozen.Load(); n != payments {
			return fmt.Errorf("%d have frozen", n)
		}
		return nil
	})
	_, _, stop = w.charger(nil)
	w.rest()
	stop()
	ahead.Store(int64(25 * time.Hour))
	close(i.thaw)
	stopFrozen()
	violations := 0
	for id, m := range w.ledger() {
		if m != paid {
			violations++
			t.Errorf("order %s: the provider's ledger has %+v", id, m)
		}
	}
	t.Logf("%d violations in %d payments", violations, payments)
}
