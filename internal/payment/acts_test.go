package payment_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// act has an operator do something about an order's payment.
func (o *office) act(want int, p purchase, act, body string) map[string]any {
	o.Helper()
	o.eventually(`SELECT leased_until IS NULL FROM payment.payments WHERE order_id = $1`, p.id)
	return o.call(want, http.MethodPost, "/payments/"+p.id.String()+"/"+act, body)
}

// idleOffice is an office whose charger does nothing by itself.
func (w *world) idleOffice(provider payment.Provider) *office {
	return w.office(payment.NewCharger(w.env.DB, provider, payment.ChargerOptions{Log: w.env.Log, KeyMemory: time.Hour}))
}

const outside = `{"reason":"paid back by bank transfer 4711"}`

func TestRefundIsSettledOutside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, stop := w.charger(nil)
	p, kept := buy("pm_ok"), buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated), kept.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.reach(kept.id, payment.Success)
	stop()
	w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
	o := w.idleOffice(mean{w.provider})
	o.act(http.StatusServiceUnavailable, p, "retry", "") // mean
	o.act(http.StatusConflict, kept, "settle", outside)
	o.act(http.StatusBadRequest, p, "settle", `{"reason":""}`)
	away := w.idleOffice(payment.NewSandbox(payment.SandboxOptions{URL: "http://127.0.0.1:1", APIKey: apiKey}))
	away.act(http.StatusConflict, p, "settle", outside)
	for range 2 {
		if got := o.act(http.StatusOK, p, "settle", outside); got["state"] != "REFUNDED" {
			t.Errorf("settled: %v", got)
		}
	}
	o.act(http.StatusConflict, p, "retry", "")
	w.expect(p, payment.Refunded, "processed refunded", paid)
	w.eventually(`SELECT charged = 1275 AND refunded = 1275 AND kept = 1275 FROM payment.balances WHERE order_id = $1`, p.id)
	acts := o.call(http.StatusOK, http.MethodGet, "/payments/"+p.id.String(), "")["acts"].([]any)
	if last := acts[0].(map[string]any); len(acts) != 2 || last["act"] != "settle" || last["by"] != "olga" || last["reason"] != "paid back by bank transfer 4711" {
		t.Errorf("acts: %v", acts)
	}
	if list := o.list("/payments?state=settled"); len(list) != 1 || list[0]["order_id"] != p.id.String() {
		t.Errorf("settled: %v", list)
	}
	if _, err := w.env.DB.Exec(t.Context(), `UPDATE payment.acts SET reason = 'x'`); err == nil {
		t.Error("what was done can be changed")
	}
	w.hunt(w.hunter(func() {})) // does not miss at the provider what was settled elsewhere
	if found := w.orphans(); len(found) > 0 {
		t.Errorf("orphans: %v", found)
	}
}

// What the provider has given back already is not given back by a person once more.
func TestRefundThatWasMadeIsAdopted(t *testing.T) {
	t.Parallel()
	for _, act := range []string{"adopt", "settle"} {
		t.Run(act, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			service, _, stop := w.charger(nil)
			p := buy("pm_ok")
			w.hear(service.Charge, p.fact(event.OrderCreated))
			w.reach(p.id, payment.Success)
			stop()
			w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
			o := w.idleOffice(mean{w.provider})
			o.act(http.StatusConflict, p, "adopt", "")
			charge := o.call(http.StatusOK, http.MethodGet, "/payments/"+p.id.String(), "")["charge_id"].(string)
			in := payment.Intent{OrderID: p.id, ChargeKey: "charge-" + p.id.String(), RefundKey: "refund-" + p.id.String(), ChargeID: charge, Terms: p.terms()}
			if _, err := w.provider.Refund(t.Context(), in); err != nil { // nobody hears the answer
				t.Fatal(err)
			}
			if act == "adopt" {
				o.act(http.StatusOK, p, act, "")
			} else {
				o.act(http.StatusConflict, p, act, outside)
			}
			w.expect(p, payment.Refunded, "processed refunded", repaid)
		})
	}
}

func TestChargeIsClosedOrAdoptedByHand(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lost, made := buy("pm_ok"), buy("pm_ok")
	w.attempt(lost, stuck{w.provider})
	w.attempt(made, stuck{w.provider})
	in := payment.Intent{OrderID: made.id, ChargeKey: "charge-" + made.id.String(), Terms: made.terms()}
	if _, err := w.provider.Charge(t.Context(), in); err != nil { // nobody hears the answer
		t.Fatal(err)
	}
	o := w.idleOffice(w.provider)
	o.act(http.StatusConflict, lost, "adopt", "")
	o.act(http.StatusConflict, lost, "settle", outside)
	for range 2 {
		if got := o.act(http.StatusOK, lost, "close", ""); got["state"] != "DECLINED" || got["reason"] != "closed" {
			t.Errorf("closed: %v", got)
		}
	}
	w.expect(lost, payment.Declined, "unknown failed", nothing)
	if got := o.act(http.StatusOK, made, "adopt", ""); got["state"] != "SUCCESS" {
		t.Errorf("adopted: %v", got)
	}
	o.act(http.StatusConflict, made, "close", "")
	w.expect(made, payment.Success, "unknown processed", paid)
}
