package payment_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

// Postgres' clock is put back by 20 minutes, as after a failover to another one. What was due, and what somebody was at who is gone, does
// not wait until the time has come again.
func TestPaymentsGoOnWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	due, claimed, owed := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	for _, p := range []purchase{due, claimed} {
		w.hear(w.idle().Charge, p.fact(event.OrderCreated))
	}
	w.exec(`UPDATE payment.payments SET attempted_at = now(), tries = 1, claim = 1, leased_until = now() + interval '20 s', provider = $2, account = $3
		WHERE order_id = $1`, claimed.id, w.account().Provider, w.account().Account)
	w.attempt(owed, stuck{w.provider})
	in := intentOf(owed)
	in.ChargeID = ""
	if o, err := w.provider.Charge(t.Context(), in); err != nil || o.Verdict != payment.Charged {
		t.Fatalf("%+v, %v", o, err)
	}
	w.exec(`UPDATE payment.payments SET due_at = due_at + interval '20 min', leased_until = leased_until + interval '20 min', created_at = created_at + interval '20 min',
		changed_at = changed_at + interval '20 min', attempted_at = attempted_at + interval '20 min'`)
	w.charger(nil)
	for _, p := range []purchase{due, claimed, owed} {
		w.reach(p.id, payment.Success)
	}
}

// What the hunt has still to give back goes on as well, and our transfers are looked for again from before the clock was put back.
func TestTheHuntGoesOnWhenTheClockWasPutBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	unwanted := buy("pm_ok")
	w.hear(w.idle().GiveBack, unwanted.fact(event.OrderEnding))
	in := intentOf(unwanted)
	in.ChargeID = ""
	charged, err := w.provider.Charge(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	h := w.hunter(func() {})
	w.hunt(h)
	w.exec(`UPDATE payment.orphans SET refund_id = NULL, refunded_at = NULL, due_at = now() + interval '20 min' WHERE provider_id = $1`, charged.ChargeID)
	w.exec(`UPDATE payment.hunts SET at = now() + interval '20 min', at_id = 'ch_x'`)
	ghost := uuid.NewString()
	w.exec(`INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, provider, account)
		VALUES ('ch_ghost', $1, 'charge', 'customer', 'provider', 5, 'GBP', $1, 'sandbox', $2)`, ghost, w.account().Account)
	w.hunt(h)
	if diff := cmp.Diff(map[string]string{unwanted.id.String(): "stray, given back", ghost: "missing"}, w.orphans()); diff != "" {
		t.Error(diff)
	}
}

// The provider's clock is 20 minutes from ours, either way. Its charges are as young as they are, and so are its webhooks' signatures.
func TestTheProvidersClockIsItsOwn(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute} {
		var passed atomic.Int64
		address, told := post(t)
		w := newWorld(t, address, func(o *sandbox.Options) {
			o.Now = func() time.Time { return time.Now().Add(off + time.Duration(passed.Load())) }
		})
		client := payment.NewSandbox(payment.SandboxOptions{URL: w.url, APIKey: apiKey, WebhookSecret: hookSecret})
		t.Cleanup(client.Hangup)
		if _, err := client.Account(t.Context()); err != nil { // the answer tells the time
			t.Fatal(err)
		}
		p := buy("pm_ok")
		w.attempt(p, stuck{w.provider})
		in := intentOf(p)
		in.ChargeID = ""
		if _, err := w.provider.Charge(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		cautious := func(o *payment.HunterOptions) { o.Cooldown = 10 * time.Minute }
		w.hunt(w.hunter(func() {}, cautious))
		if got := w.state(p.id); got != payment.Unknown {
			t.Errorf("off by %s: a charge of just now was judged: %s", off, got)
		}
		select {
		case r := <-told:
			if line, err := client.Notice(r.Header, []byte(r.Form.Get("body"))); err != nil || line.OrderID != p.id.String() {
				t.Errorf("off by %s: %+v, %v", off, line, err)
			}
		case <-time.After(enough):
			t.Fatal("no webhook came")
		}
		passed.Store(int64(11 * time.Minute))
		w.hunt(w.hunter(func() {}, cautious))
		w.expect(p, payment.Success, "unknown processed", paid)
	}
}
