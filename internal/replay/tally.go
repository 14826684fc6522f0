package replay

import (
	"sync"
	"time"
)

// placed is an order as it was answered to its customer.
type placed struct {
	sub string
	fingerprint
}

// tally counts what happened. Its methods may be called by many at once.
type tally struct {
	options Options
	run     string // fresh for each run: part of its keys
	total   int    // invoices

	mu                  sync.Mutex
	began, ended        time.Time
	products, played    int
	orders              []placed
	counts              Report // its counters
	carts, checkouts, e histogram
}

func newTally(o Options, run string, s shop) *tally {
	return &tally{options: o, run: run, total: len(s.invoices), counts: Report{
		RunID: run, URL: o.BaseURL, Strategy: o.Strategy, Seed: o.Seed, Invoices: len(s.invoices), Lines: s.lines, Products: len(s.products),
		SkippedCancellations: s.skip.cancellations, SkippedNegative: s.skip.negative,
		OrdersFailed: map[string]int{}, RejectedAtCartBy: map[string]int{}, CheckoutsRefused: map[string]int{},
	}}
}

// note changes the counters.
func (t *tally) note(change func(r *Report)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.counts)
}

func (t *tally) begin() { t.note(func(*Report) { t.began = time.Now() }) }
func (t *tally) end()   { t.note(func(*Report) { t.ended = time.Now() }) }

func (t *tally) retry()          { t.note(func(r *Report) { r.Retried++ }) }
func (t *tally) stocked(n int)   { t.note(func(*Report) { t.products += n }) }
func (t *tally) playedOne()      { t.note(func(*Report) { t.played++ }) }
func (t *tally) abandon()        { t.note(func(r *Report) { r.Abandoned++ }) }
func (t *tally) goneEmpty()      { t.note(func(r *Report) { r.NothingLeft++ }) }
func (t *tally) giveUp(k string) { t.note(func(r *Report) { r.CheckoutsRefused[k]++ }) }

func (t *tally) cart(took time.Duration)     { t.note(func(*Report) { t.carts.add(took) }) }
func (t *tally) checkout(took time.Duration) { t.note(func(*Report) { t.checkouts.add(took) }) }

func (t *tally) rejectAtCart(kind string) {
	t.note(func(r *Report) {
		r.RejectedAtCart++
		r.RejectedAtCartBy[kind]++
	})
}

func (t *tally) rejectAtCheckout(lines int) {
	t.note(func(r *Report) { r.RejectedAtCheckout += lines })
}

func (t *tally) repeat(same bool) {
	t.note(func(r *Report) {
		r.Repeated++
		if !same {
			r.RepeatedDifferently++
		}
	})
}

func (t *tally) place(o placed, asWanted bool) {
	t.note(func(r *Report) {
		t.orders = append(t.orders, o)
		r.OrdersPlaced++
		if !asWanted {
			r.OrderedDifferently++
		}
	})
}

// finish is told of each order once, when it has ended.
func (t *tally) finish(o orderJSON, same bool) {
	t.note(func(r *Report) {
		switch o.Status {
		case "COMPLETED":
			r.OrdersCompleted++
		case "FAILED":
			r.OrdersFailed[o.FailureReason]++
		default:
			r.OrdersCancelled++
		}
		if !same {
			r.ReadDifferently++
		}
		if o.EndedAt != nil {
			t.e.add(o.EndedAt.Sub(o.CreatedAt))
		}
	})
}

func (t *tally) placed() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.orders)
}
