package payment_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

// heard is a fact on its way to a verb.
type heard struct {
	event.Fact
	giveBack bool
}

// Facts of many orders come several times, in any order, in batches, to several consumers at once, while the provider goes
// wrong in all its ways and three chargers are at it: nobody pays twice, and what was given back is given back.
func TestShuffledAndRepeatedFacts(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3} {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(o *sandbox.Options) { o.Seed = seed })
			random := rand.New(rand.NewPCG(seed, 0))
			orders, facts := shuffled(random, 120)
			w.deliver(random, facts)
			w.rest()
			books := w.ledger()
			for p, givenBack := range orders {
				w.judge(p, givenBack, books[p.id])
			}
		})
	}
}

func shuffled(random *rand.Rand, n int) (map[purchase]bool, []heard) {
	methods := []string{"pm_ok", "pm_ok", "pm_flaky", "pm_flaky", "pm_declined", "pm_slow", "pm_error_once", "pm_timeout_after_charge"}
	orders := map[purchase]bool{}
	var facts []heard
	for i := range n {
		p := buy(methods[i%len(methods)])
		p.amount = int64(1 + random.IntN(5000))
		facts = append(facts, heard{p.fact(event.OrderCreated), false}, heard{p.fact(event.StockReserved), false})
		if orders[p] = random.IntN(2) == 0; orders[p] {
			facts = append(facts, heard{p.fact(event.StockFailed), true}, heard{p.fact(event.OrderEnding), true})
		}
	}
	facts = append(facts, facts...)
	random.Shuffle(len(facts), func(i, j int) { facts[i], facts[j] = facts[j], facts[i] })
	return orders, facts
}

// deliver hands the facts to four consumers in batches, with three chargers at work.
func (w *world) deliver(random *rand.Rand, facts []heard) {
	w.Helper()
	var consumers sync.WaitGroup
	batches := make(chan []heard)
	for i := range 4 {
		service := w.idle()
		if i > 0 {
			service, _, _ = w.charger(w.client(300*time.Millisecond), func(o *payment.ChargerOptions) { o.Lease = 2 * time.Second })
		}
		consumers.Go(func() {
			for batch := range batches {
				var charge, giveBack []event.Fact
				for _, h := range batch {
					if h.giveBack {
						giveBack = append(giveBack, h.Fact)
					} else {
						charge = append(charge, h.Fact)
					}
				}
				for verb, err := range map[string]error{"charge": service.Charge(w.Context(), charge), "give back": service.GiveBack(w.Context(), giveBack)} {
					if err != nil {
						w.Errorf("%s: %v", verb, err)
					}
				}
			}
		})
	}
	for len(facts) > 0 {
		n := min(1+random.IntN(20), len(facts))
		batches <- facts[:n]
		facts = facts[n:]
	}
	close(batches)
	consumers.Wait()
}

// judge holds an order's end against what it must be, whatever happened on the way.
func (w *world) judge(p purchase, givenBack bool, m money) {
	w.Helper()
	state, said := w.state(p.id), w.names(p.id)
	failed, undone := count(said, "failed"), count(said, "voided")+count(said, "refunded")
	if m.charges > 1 || m.refunds > 1 || count(said, "processed") > 1 || count(said, "unknown") > 1 || failed+undone > 1 {
		w.Errorf("%s %s: said %q, ledger %+v", p.method, p.id, said, m)
	}
	ok := false
	switch {
	case !givenBack && p.method == "pm_declined":
		ok = state == payment.Declined && failed == 1 && m == nothing
	case !givenBack:
		ok = state == payment.Success && strings.HasSuffix(said, "processed") && m == money{charges: 1, kept: p.amount}
	default:
		ok = failed+undone == 1 && m.kept == 0
	}
	if !ok {
		w.Errorf("%s, given back %t: %s, said %q, ledger %+v", p.method, givenBack, state, said, m)
	}
}
