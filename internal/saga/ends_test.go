package saga

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

func TestEnds(t *testing.T) {
	t.Parallel()
	all := allEnds(t)
	for end, want := range map[string][]event.Name{
		"optimistic/COMPLETED//SUCCESS/RESERVED":                     {event.OrderCreated, event.StockReserved, event.PaymentProcessed, event.OrderCompleted},
		"optimistic/FAILED/OUT_OF_STOCK/NOT_STARTED/OUT_OF_STOCK":    {event.OrderCreated, event.StockFailed, event.OrderFailed},
		"post-payment/FAILED/OUT_OF_STOCK/REFUNDED/OUT_OF_STOCK":     {event.OrderCreated, event.StockFailed, event.PaymentRefunded, event.OrderFailed},
		"parallel/FAILED/TIMED_OUT/VOIDED/RELEASED":                  {event.OrderCreated, event.OrderEnding, event.PaymentVoided, event.StockReleased, event.OrderFailed},
		"orchestrated/FAILED/OUT_OF_STOCK/NOT_STARTED/OUT_OF_STOCK":  {event.OrderCreated, event.StockReserveRequested, event.StockFailed, event.OrderFailed},
		"optimistic/COMPLETED//SUCCESS/RELEASED (no table leads so)": nil,
	} {
		got := slices.Clone(all[end])
		slices.Sort(got)
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", end, diff)
		}
	}
}

func allEnds(t *testing.T) map[string][]event.Name {
	t.Helper()
	all := map[string][]event.Name{}
	for _, s := range All() {
		found := Ends(s)
		if len(found) < 5 {
			t.Errorf("%s has %d ends", s.Name, len(found))
		}
		for end, facts := range found {
			all[end] = facts
		}
	}
	return all
}
