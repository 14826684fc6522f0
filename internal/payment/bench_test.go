package payment_test

import (
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// BenchmarkCharge is one order from order.created, heard in batches of 100, to payment.processed.
func BenchmarkCharge(b *testing.B) {
	w := newWorld(b)
	service, _, _ := w.charger(nil, func(o *payment.ChargerOptions) { o.Log = quiet })
	facts := make([]event.Fact, 0, b.N)
	for range b.N {
		facts = append(facts, buy("pm_ok").fact(event.OrderCreated))
	}
	b.ResetTimer()
	for batch := facts; len(batch) > 0; {
		n := min(100, len(batch))
		w.hear(service.Charge, batch[:n]...)
		batch = batch[n:]
	}
	w.rest()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "charges/s")
}
