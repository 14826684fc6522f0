package order

import (
	"slices"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// heard is one fact with the rule that a table has for it.
type heard struct {
	rule func(*State, event.Name)
	fact event.Name
}

func fresh(payment PaymentStatus) State {
	return State{Status: Created, Payment: payment, Inventory: InventoryNotStarted}
}

func permutations(of []heard) [][]heard {
	if len(of) <= 1 {
		return [][]heard{of}
	}
	var all [][]heard
	for i := range of {
		rest := append(append([]heard{}, of[:i]...), of[i+1:]...)
		for _, p := range permutations(rest) {
			all = append(all, append([]heard{of[i]}, p...))
		}
	}
	return all
}

// Every end is the same in whatever order the facts that lead to it arrive, and when all of them come twice.
func TestEndsDoNotDependOnTheOrderOfFacts(t *testing.T) {
	t.Parallel()
	advance, fail, unwind, settle := (*State).Advance, (*State).Fail, (*State).Unwind, (*State).Settle
	cases := map[string]struct {
		start State
		facts []heard
		want  State
		shown string
	}{
		"optimistic, paid": {
			fresh(PaymentNotStarted),
			[]heard{{advance, event.StockReserved}, {advance, event.PaymentProcessed}},
			State{Status: Completed, Payment: PaymentSuccess, Inventory: InventoryReserved},
			"COMPLETED",
		},
		"optimistic, out of stock": {
			fresh(PaymentNotStarted),
			[]heard{{fail, event.StockFailed}},
			State{Status: Failed, Payment: PaymentNotStarted, Inventory: InventoryOutOfStock, Reason: OutOfStock},
			"FAILED_OUT_OF_STOCK",
		},
		"optimistic, declined": {
			fresh(PaymentNotStarted),
			[]heard{{advance, event.StockReserved}, {unwind, event.PaymentFailed}, {settle, event.StockReleased}},
			State{Status: Failed, Payment: PaymentDeclined, Inventory: InventoryReleased, Reason: PaymentFailed},
			"FAILED_PAYMENT",
		},
		"post-payment, paid after it was not known": {
			fresh(PaymentPending),
			[]heard{{advance, event.PaymentUnknown}, {advance, event.PaymentProcessed}, {advance, event.StockReserved}},
			State{Status: Completed, Payment: PaymentSuccess, Inventory: InventoryReserved},
			"COMPLETED",
		},
		"post-payment, out of stock": {
			fresh(PaymentPending),
			[]heard{{advance, event.PaymentProcessed}, {unwind, event.StockFailed}, {settle, event.PaymentRefunded}},
			State{Status: Failed, Payment: PaymentRefunded, Inventory: InventoryOutOfStock, Reason: OutOfStock},
			"REFUNDED",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, facts := range permutations(append(c.facts, c.facts...)) {
				o := Order{State: c.start}
				for _, h := range facts {
					h.rule(&o.State, h.fact)
				}
				if o.State != c.want || o.Display() != c.shown {
					t.Fatalf("after %v: %+v (%s), want %+v (%s)", names(facts), o.State, o.Display(), c.want, c.shown)
				}
			}
		})
	}
}

func names(facts []heard) []event.Name {
	var n []event.Name
	for _, h := range facts {
		n = append(n, h.fact)
	}
	return n
}

// A success that comes late never revives an order whose time is over.
func TestTimeOutIsNotRevived(t *testing.T) {
	t.Parallel()
	late := []heard{
		{(*State).Advance, event.StockReserved},
		{(*State).Advance, event.PaymentProcessed},
		{(*State).Settle, event.StockReleased},
		{(*State).Settle, event.PaymentRefunded},
	}
	for _, facts := range permutations(late) {
		s := fresh(PaymentPending)
		if !s.TimeOut() || s.TimeOut() {
			t.Fatal("an order times out once")
		}
		for _, h := range facts {
			if s.Status.Final() {
				before := s
				h.rule(&s, h.fact)
				if s != before {
					t.Fatalf("a final order was changed by %s: %+v", h.fact, s)
				}
				continue
			}
			h.rule(&s, h.fact)
		}
		want := State{Status: Failed, Payment: PaymentRefunded, Inventory: InventoryReleased, Reason: TimedOut}
		if s != want {
			t.Fatalf("after %v: %+v", names(facts), s)
		}
	}
}

// A cancelled order goes to its end in whatever order the facts that are under way come, and is never revived: stopped before
// the end, or taken back when it was complete.
func TestCancelIsNotRevived(t *testing.T) {
	t.Parallel()
	late := []heard{
		{(*State).Advance, event.StockReserved},
		{(*State).Advance, event.PaymentProcessed},
		{(*State).Settle, event.StockReleased},
		{(*State).Settle, event.PaymentRefunded},
	}
	want := State{Status: Cancelled, Payment: PaymentRefunded, Inventory: InventoryReleased}
	for _, facts := range permutations(late) {
		for at := range facts {
			if slices.ContainsFunc(facts[:at], givesBack) {
				continue // nothing is given back before the cancel
			}
			s := fresh(PaymentPending)
			for i, h := range facts {
				if i == at && (!s.Cancel() || s.Cancel() || !s.Cancelling()) {
					t.Fatal("an order is cancelled once")
				}
				h.rule(&s, h.fact)
			}
			if s != want || s.Says() != event.OrderCancelled || s.Display() != "CANCELLED" {
				t.Fatalf("cancelled after %d of %v: %+v", at, names(facts), s)
			}
		}
	}
}

func givesBack(h heard) bool { return h.fact == event.StockReleased || h.fact == event.PaymentRefunded }

// What has failed, or is failing, cannot be cancelled any more; what is being cancelled does not time out.
func TestOneEndWins(t *testing.T) {
	t.Parallel()
	over := fresh(PaymentPending)
	over.TimeOut()
	failed := fresh(PaymentNotStarted)
	failed.Fail(event.StockFailed)
	for _, s := range []State{over, failed} {
		if before := s; s.Cancel() || s.Cancelling() || s != before {
			t.Errorf("%+v was cancelled", s)
		}
	}
	cancelled, complete := fresh(PaymentPending), State{Status: Completed, Payment: PaymentSuccess, Inventory: InventoryReserved}
	cancelled.Cancel()
	if cancelled.TimeOut() || complete.TimeOut() {
		t.Error("timed out though its end was decided")
	}
	if !complete.Cancel() || complete.Display() != "REFUND_IN_PROGRESS" || complete.SaysEnding() != event.OrderEnding {
		t.Errorf("%+v", complete)
	}
}
