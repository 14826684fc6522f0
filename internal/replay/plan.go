package replay

import (
	"hash/fnv"
	"math/rand/v2"
)

// Payment methods that a server in front of the sandbox knows.
const (
	methodOK           = "pm_ok"
	methodDeclined     = "pm_declined"
	methodInsufficient = "pm_insufficient_funds"
)

// repeat is how a checkout is sent a second time.
type repeat int

const (
	once  repeat = iota
	twins        // both at the same time
	again        // the second after the first was answered
)

// plan is everything about an invoice that is chosen and not read.
type plan struct {
	buyNow  bool
	abandon bool // fill the cart and leave it
	clear   bool // what an earlier visit left in the cart is taken out first
	method  string
	repeat  repeat
}

// choose makes an invoice's choices. All are drawn always and in one order, so that one share does not shift the others.
func choose(o Options, number, customer string) plan {
	h := fnv.New64a()
	_, _ = h.Write([]byte(number + "\x00" + customer)) // a hash never fails
	rng := rand.New(rand.NewPCG(o.Seed, h.Sum64()))
	abandon, buyNow, decline := rng.Float64() < o.Abandon, rng.Float64() < o.BuyNow, rng.Float64() < o.Decline
	poor, twice, close := rng.Float64() < 0.5, rng.Float64() < o.Repeat, rng.Float64() < 0.5
	p := plan{abandon: abandon, buyNow: buyNow && !abandon, method: methodOK}
	if decline {
		p.method = methodDeclined
		if poor {
			p.method = methodInsufficient
		}
	}
	if twice {
		p.repeat = again
		if close {
			p.repeat = twins
		}
	}
	return p
}

// planAll plans the invoices, which are in order of time. A customer's first cart of a run may hold what an earlier run
// left, and the cart after an abandoned one does.
func planAll(invoices []invoice, o Options) {
	clean := map[string]bool{}
	for i := range invoices {
		inv := &invoices[i]
		inv.plan = choose(o, inv.number, inv.customer)
		if inv.customer == "" || inv.plan.buyNow {
			continue
		}
		inv.plan.clear = !clean[inv.customer]
		clean[inv.customer] = !inv.plan.abandon
	}
}
