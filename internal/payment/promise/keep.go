package promise

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// keeper is a provider that remembers, and what it is asked about.
type keeper struct {
	*testing.T
	payment.Books
	in payment.Intent
}

// Keep holds a provider that remembers to what it promises of keys: charged once, given back once, closed for good, and all of it in
// its books, in order. It must know pm_ok and pm_declined.
func Keep(t *testing.T, provider payment.Books) {
	t.Helper()
	for name, check := range map[string]func(keeper){
		"charged once":      keeper.chargedOnce,
		"given back once":   keeper.givenBackOnce,
		"declined for good": keeper.declinedForGood,
		"closed for good":   keeper.closedForGood,
		"closed too late":   keeper.closedTooLate,
		"another amount":    keeper.anotherAmount,
		"never charged":     keeper.neverCharged,
	} {
		t.Run(name, func(t *testing.T) { check(keeper{t, provider, Intent("pm_ok")}) })
	}
}

// opened is the intent, opened if that is the provider's way.
func (k keeper) opened() payment.Intent {
	k.Helper()
	if opener, opens := k.Books.(payment.Opener); opens && k.in.OpenedAs == "" {
		o, err := opener.Open(k.Context(), k.in)
		if err != nil || o.Verdict != payment.Opened {
			k.Fatalf("open: %+v, %v", o, err)
		}
		k.in.OpenedAs = o.ChargeID
	}
	return k.in
}

func (k keeper) must(want payment.Verdict, o payment.Outcome, err error) payment.Outcome {
	k.Helper()
	if err != nil || o.Verdict != want {
		k.Fatalf("%+v, %v, want %s", o, err, want)
	}
	return o
}

// charge charges and gives the intent with what it is charged as.
func (k keeper) charge() payment.Intent {
	k.Helper()
	in := k.opened()
	o, err := k.Charge(k.Context(), in)
	in.ChargeID = k.must(payment.Charged, o, err).ChargeID
	return in
}

func (k keeper) lookup(want payment.Verdict, in payment.Intent) payment.Outcome {
	k.Helper()
	o, err := k.Lookup(k.Context(), in)
	return k.must(want, o, err)
}

func (k keeper) close(want payment.Verdict, in payment.Intent) payment.Outcome {
	k.Helper()
	o, err := k.Close(k.Context(), in)
	return k.must(want, o, err)
}

func (k keeper) chargedOnce() {
	k.in = k.opened()
	k.lookup(payment.Absent, k.in)
	ids := map[string]int{}
	var mu sync.Mutex
	var calls sync.WaitGroup
	for range 8 {
		calls.Go(func() {
			o, err := k.Charge(k.Context(), k.in) // one that meets another at the same moment may not be answered
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				ids[o.ChargeID]++
			}
		})
	}
	calls.Wait()
	in := k.charge()
	if ids[in.ChargeID]++; len(ids) != 1 || in.ChargeID == "" {
		k.Errorf("charged as %v", ids)
	}
	k.lookup(payment.Charged, in)
	k.booked(payment.Line{Verdict: payment.Charged, ID: in.ChargeID, Key: in.ChargeKey})
}

func (k keeper) givenBackOnce() {
	in := k.charge()
	o, err := k.Refund(k.Context(), in)
	first := k.must(payment.GivenBack, o, err)
	o, err = k.Refund(k.Context(), in)
	if again := k.must(payment.GivenBack, o, err); again != first || first.ChargeID != in.ChargeID || first.RefundID == "" {
		k.Errorf("given back as %+v, then as %+v", first, again)
	}
	if found := k.lookup(payment.GivenBack, in); found != first {
		k.Errorf("found as %+v, given back as %+v", found, first)
	}
	k.close(payment.GivenBack, in)
	k.booked(
		payment.Line{Verdict: payment.Charged, ID: in.ChargeID, Key: in.ChargeKey},
		payment.Line{Verdict: payment.GivenBack, ID: first.RefundID, ChargeID: in.ChargeID, Key: in.RefundKey},
	)
}

func (k keeper) declinedForGood() {
	k.in.Terms.PaymentMethod = "pm_declined"
	in := k.opened()
	o, err := k.Charge(k.Context(), in)
	if first := k.must(payment.Rejected, o, err); first.Reason == "" || first.ChargeID != "" {
		k.Errorf("declined with %+v", first)
	}
	k.lookup(payment.Rejected, in)
	o, err = k.Charge(k.Context(), in)
	k.must(payment.Rejected, o, err)
	k.close(payment.Rejected, in)
}

func (k keeper) closedForGood() {
	in := k.opened()
	k.close(payment.Closed, in)
	k.close(payment.Closed, in)
	o, err := k.Charge(k.Context(), in)
	k.must(payment.Closed, o, err)
	k.lookup(payment.Closed, in)
	k.booked()
}

func (k keeper) closedTooLate() {
	in := k.charge()
	if o := k.close(payment.Charged, in); o.ChargeID != in.ChargeID {
		k.Errorf("closed as %+v, charged as %s", o, in.ChargeID)
	}
}

func (k keeper) anotherAmount() {
	in := k.charge()
	in.Terms.TotalMinor++
	for _, c := range callsOf(k.Books) {
		if o, err := c.do(k.Context(), in); err == nil {
			k.Errorf("a %s of another amount was answered %+v", c.name, o)
		}
	}
	in.Terms.TotalMinor--
	k.lookup(payment.Charged, in)
}

func (k keeper) neverCharged() {
	in := k.opened()
	in.ChargeID = "ch_of_nobody"
	if o, err := k.Refund(k.Context(), in); err == nil {
		k.Errorf("a charge that never was is answered %+v", o)
	}
}

// booked reads the provider's books in small pages and looks for what moved money for this intent.
func (k keeper) booked(want ...payment.Line) {
	k.Helper()
	var got []payment.Line
	for mark := ""; ; {
		page, err := k.Lines(k.Context(), mark, 2)
		if err != nil {
			k.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		mark = page[len(page)-1].Mark
		for _, l := range page {
			if l.OrderID == k.in.OrderID.String() && l.Verdict != payment.Rejected {
				if l.AmountMinor != k.in.Terms.TotalMinor || l.Currency != k.in.Terms.Currency || l.At.IsZero() || l.Mark == "" {
					k.Errorf("booked as %+v", l)
				}
				got = append(got, payment.Line{Verdict: l.Verdict, ID: l.ID, Key: l.Key, ChargeID: l.ChargeID})
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		k.Errorf("the books: %s", diff)
	}
}
