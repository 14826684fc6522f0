package saga

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/order"
)

// The table of compensations, in every order of arrival that there is: whatever two sides come to, this is left of an order that
// nobody has ended from outside.
func TestParallelUndoesWhatTheOtherSideCannotUse(t *testing.T) {
	t.Parallel()
	w := walker{strategy: Parallel, seen: make(map[world]bool)}
	if err := w.visit(w.start()); err != nil {
		t.Fatal(err)
	}
	type ends struct{ payment, inventory string }
	want := map[ends]map[order.Reason]bool{
		{"charged", "reserved"}:  {"": true},                                          // neither failed: nothing is undone
		{"declined", "released"}: {order.PaymentFailed: true},                         // stock had it, or was about to
		{"refunded", "failed"}:   {order.OutOfStock: true},                            // payment had it, or succeeded later
		{"voided", "failed"}:     {order.OutOfStock: true},                            // payment had not begun
		{"declined", "failed"}:   {order.OutOfStock: true, order.PaymentFailed: true}, // both failed: nothing to undo
	}
	got := map[ends]map[order.Reason]bool{}
	for at := range w.seen {
		if at.pending != "" || at.order.Reason == order.TimedOut || at.order.Status == order.Cancelled {
			continue
		}
		e := ends{at.payment, at.inventory}
		if got[e] == nil {
			got[e] = map[order.Reason]bool{}
		}
		got[e][at.order.Reason] = true
		if !want[e][at.order.Reason] {
			t.Errorf("an order is %s for %q with payment %q and stock %q", at.order.Status, at.order.Reason, at.payment, at.inventory)
		}
	}
	for e, reasons := range want {
		if len(got[e]) != len(reasons) {
			t.Errorf("payment %q and stock %q: reasons %v, want %v", e.payment, e.inventory, got[e], reasons)
		}
	}
}
