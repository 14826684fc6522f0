package payment_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// tell hands over the one of some webhooks that tells of something.
func (w *world) tell(notices *payment.Notices, hooks []*http.Request, of string) {
	w.Helper()
	i := slices.IndexFunc(hooks, func(r *http.Request) bool { return strings.Contains(r.Form.Get("body"), of) })
	if err := notices.Hear(w.Context(), hooks[i].Header, []byte(hooks[i].Form.Get("body"))); err != nil {
		w.Fatalf("%s: %v", of, err)
	}
}

// mute is a provider that makes refunds and says nothing of it.
type mute struct{ payment.Provider }

func (m mute) Refund(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	_, _ = m.Provider.Refund(ctx, in)
	return payment.Outcome{}, context.DeadlineExceeded
}

// A refund was asked for and its answer lost. That it has failed is told first, that it was made only then: it does not count.
func TestARefundIsToldAfterItHasFailed(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	service, _, stop := w.charger(nil)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	stop()
	_, _, stop = w.charger(mute{w.provider})
	w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
	w.eventually(`SELECT tries > 0 AND leased_until IS NULL FROM payment.payments`)
	stop()
	w.eventually(`SELECT leased_until IS NULL FROM payment.payments`)
	made := w.refundID(p)
	w.provide("/refunds/" + made + "/fail")
	hooks := next(t, told, 3)
	notices := w.notices(func() {})
	w.tell(notices, hooks, "refund.failed")
	w.tell(notices, hooks, "refund.succeeded")
	w.tell(notices, hooks, "refund.failed")
	if got := w.text(`SELECT state || ' ' || effect FROM payment.payments JOIN payment.failed_refunds USING (order_id)`); got != "REFUNDING still owed" {
		t.Errorf("the payment is %s", got)
	}
	w.charger(nil)
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if w.refundOf(p) == made {
		t.Error("a refund that has failed counts as made")
	}
}

// That a refund has failed is told while whoever has asked for it is yet to hear that it was made: that answer does not count, and is an
// error like any other.
func TestARefundFailsBeforeItsAnswerIsHeard(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	made, heard := make(chan struct{}), make(chan struct{})
	var first sync.Once
	slow := between{Provider: w.provider, after: func(call string) {
		if call == "refund" {
			first.Do(func() { close(made); <-heard })
		}
	}}
	service, _, _ := w.charger(slow)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.hear(service.GiveBack, p.fact(event.OrderEnding))
	<-made
	failed := w.refundID(p)
	w.provide("/refunds/" + failed + "/fail")
	w.tell(w.notices(func() {}), next(t, told, 3), "refund.failed")
	close(heard)
	w.reach(p.id, payment.Refunded)
	w.expect(p, payment.Refunded, "processed refunded", repaid)
	if got := w.text(`SELECT error_answers || ' ' || array_to_string(failed_refunds, ' ') FROM payment.payments`); got != "2 "+failed {
		t.Errorf("of its answers, one that told of a failure and one that came too late, there are %s", got)
	}
}

// refundID is the id under which the provider has made the first refund of an order.
func (w *world) refundID(p purchase) string {
	w.Helper()
	for _, e := range w.page(0).Entries {
		if e.Kind == "refund" && e.OrderID == p.id.String() {
			return e.ID
		}
	}
	w.Fatal("there is no refund")
	return ""
}
