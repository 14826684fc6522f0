package payment_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// elsewhere is an office at another account than the one at which everything was asked for so far.
func (w *world) elsewhere() *office {
	w.Helper()
	provider := payment.NewSandbox(payment.SandboxOptions{URL: openSandbox(w.TB), APIKey: apiKey, Timeout: enough})
	w.Cleanup(provider.Hangup)
	return w.idleOffice(provider)
}

func said(outcome string) string {
	return fmt.Sprintf(`{"reason":"by the bank's statement","outcome":%q,"unasked":true}`, outcome)
}

// A payment of which nothing is known, at an account that is gone for good, ends by an operator's word, wanted by its order or not.
func TestUnknownChargeIsSettled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := w.elsewhere()
	for _, c := range []struct {
		undone  bool
		outcome string
		state   payment.State
		said    string
		kept    string // charged, given back, kept
	}{
		{false, "charged", payment.Success, "unknown processed", "1275 0 1275"},
		{false, "not_charged", payment.Declined, "unknown failed", ""},
		{true, "charged", payment.Refunding, "unknown", "1275 0 1275"},
		{true, "not_charged", payment.Voided, "unknown voided", ""},
		{true, "refunded", payment.Refunded, "unknown refunded", "1275 1275 1275"},
	} {
		p := buy("pm_ok")
		w.attempt(p, stuck{w.provider})
		if c.undone {
			w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
		} else {
			o.act(http.StatusConflict, p, "settle", said("refunded"))
		}
		o.act(http.StatusConflict, p, "close", "")
		o.act(http.StatusConflict, p, "settle", fmt.Sprintf(`{"reason":"x","outcome":%q}`, c.outcome))
		for range 2 {
			if got := o.act(http.StatusOK, p, "settle", said(c.outcome)); got["state"] != string(c.state) {
				t.Errorf("settled as %s: %v", c.outcome, got)
			}
		}
		w.expect(p, c.state, c.said, nothing)
		balance := w.text(`SELECT coalesce((SELECT charged || ' ' || refunded || ' ' || kept FROM payment.balances WHERE order_id = $1), '')`, p.id)
		if balance != c.kept {
			t.Errorf("settled as %s: the ledger has %q", c.outcome, balance)
		}
		acts := o.call(http.StatusOK, http.MethodGet, "/payments/"+p.id.String(), "")["acts"].([]any)
		if a := acts[0].(map[string]any); len(acts) != 1 || a["outcome"] != c.outcome || a["by"] != "olga" || a["state"] != string(c.state) {
			t.Errorf("acts: %v", acts)
		}
		if c.state == payment.Refunding {
			o.act(http.StatusConflict, p, "settle", said("not_charged"))
			o.act(http.StatusOK, p, "settle", said("refunded"))
			w.expect(p, payment.Refunded, "unknown refunded", nothing)
		}
	}
	if list := o.list("/payments?state=settled"); len(list) != 5 {
		t.Errorf("settled: %v", list)
	}
	o.call(http.StatusUnprocessableEntity, http.MethodPost, "/payments/"+buy("pm_ok").id.String()+"/settle", `{"reason":"x","outcome":"lost"}`)
}

// What a person has said is no news when the account is configured again, unless the provider knows better: then money that nobody here
// counts on goes back.
func TestWhatWasSaidMeetsTheProvidersWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	right, wrong, opened := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	service, _, stop := w.charger(opening{between{Provider: stuck{w.provider}}, w.env.DB})
	w.hear(service.Charge, opened.fact(event.OrderCreated))
	w.reach(opened.id, payment.Unknown)
	stop()
	w.attempt(right, stuck{w.provider})
	w.attempt(wrong, stuck{w.provider})
	for _, p := range []purchase{right, wrong} {
		in := payment.Intent{OrderID: p.id, ChargeKey: "charge-" + p.id.String(), Terms: p.terms()}
		if _, err := w.provider.Charge(t.Context(), in); err != nil { // nobody hears the answer
			t.Fatal(err)
		}
	}
	o := w.elsewhere()
	o.act(http.StatusOK, right, "settle", said("charged"))
	o.act(http.StatusOK, wrong, "settle", said("not_charged"))
	got := o.act(http.StatusOK, opened, "settle", said("charged"))
	if got["charge_id"] != got["opened_as"] || got["charge_id"] == nil {
		t.Errorf("charged as it was opened: %v", got)
	}
	w.hunt(w.hunter(func() {}))
	w.expect(right, payment.Success, "unknown processed", paid)
	w.expect(wrong, payment.Declined, "unknown failed", repaid)
	if found := w.orphans(); len(found) != 2 {
		t.Errorf("found: %v", found)
	}
	w.eventually(`SELECT bool_and(found = CASE provider_id WHEN $1 THEN 'missing' ELSE 'stray' END) FROM payment.orphans`, got["charge_id"])

	known := buy("pm_ok")
	w.attempt(known, stuck{w.provider})
	w.idleOffice(w.provider).act(http.StatusConflict, known, "settle", said("not_charged")) // which can be asked
	w.eventually(`SELECT state = 'UNKNOWN' FROM payment.payments WHERE order_id = $1`, known.id)
	fresh := buy("pm_ok")
	w.hear(w.idle().Charge, fresh.fact(event.OrderCreated))
	o.act(http.StatusConflict, fresh, "settle", said("not_charged"))
	if got := w.state(fresh.id); got != payment.Pending {
		t.Errorf("asked for nowhere, and %s", got)
	}
}

func TestAccountIsClosed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, stop := w.charger(nil)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	stop()
	w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
	account := w.text(`SELECT account FROM payment.payments`)
	request := fmt.Sprintf(`{"provider":"sandbox","account":%q,"reason":"the contract has ended"}`, account)
	here, o := w.idleOffice(w.provider), w.elsewhere()
	here.call(http.StatusOK, http.MethodGet, "/payments", "")
	here.act(http.StatusConflict, p, "close", "") // it has met its provider by now
	here.act(http.StatusConflict, p, "adopt", "")
	here.call(http.StatusConflict, http.MethodPost, "/payment-accounts/close", request)
	o.call(http.StatusNotFound, http.MethodPost, "/payment-accounts/close", `{"provider":"sandbox","account":"none","reason":"x"}`)
	o.call(http.StatusBadRequest, http.MethodPost, "/payment-accounts/close", `{"provider":"sandbox","account":"none"}`)
	for range 2 {
		got := o.call(http.StatusOK, http.MethodPost, "/payment-accounts/close", request)
		if closed, _ := got["closed"].(map[string]any); got["role"] != "closed" || got["under_way"] != 1.0 || closed["by"] != "olga" || closed["reason"] != "the contract has ended" {
			t.Errorf("closed: %v", got)
		}
	}
	if list := o.list("/payments?state=waiting"); len(list) != 1 {
		t.Errorf("waiting: %v", list)
	}
	if _, err := w.env.DB.Exec(t.Context(), `DELETE FROM payment.closed_accounts`); err == nil {
		t.Error("that an account was closed can be forgotten")
	}
}
