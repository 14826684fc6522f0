package payment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

func TestPaymentMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	for _, c := range []struct {
		method string
		state  payment.State
		said   string
		money  money
	}{
		{"pm_ok", payment.Success, "processed", paid},
		{"pm_declined", payment.Declined, "failed", nothing},
		{"pm_insufficient_funds", payment.Declined, "failed", nothing},
		{"pm_no_such_method", payment.Declined, "failed", nothing},
		{"pm_slow", payment.Success, "processed", paid},
		{"pm_error_once", payment.Success, "unknown processed", paid},
		{"pm_timeout_after_charge", payment.Success, "unknown processed", paid},
	} {
		for _, name := range []event.Name{event.OrderCreated, event.StockReserved} {
			t.Run(c.method+"/"+string(name), func(t *testing.T) {
				t.Parallel()
				w := &world{t, w.env, w.provider, w.url}
				p := buy(c.method)
				w.hear(service.Charge, p.fact(name))
				w.reach(p.id, c.state)
				w.expect(p, c.state, c.said, c.money)
			})
		}
	}
}

// What payment says names the order, its strategy, the fact that led to it and the trace, and carries the provider's ids.
func TestFactsCarryWhatOthersNeed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	p, declined := buy("pm_ok"), buy("pm_insufficient_funds")
	created, ending := p.fact(event.OrderCreated), p.fact(event.OrderEnding)
	w.hear(service.Charge, created, declined.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.hear(service.GiveBack, ending)
	w.reach(p.id, payment.Refunded)
	w.reach(declined.id, payment.Declined)

	said := w.said(p.id)
	for i, cause := range []event.Fact{created, ending} {
		f := said[i]
		if f.Cause != cause.ID || f.Strategy != "optimistic" || f.TraceParent != cause.TraceParent || f.OrderID != p.id {
			t.Errorf("%s does not follow from %s: %+v", f.Name, cause.Name, f)
		}
		got, err := event.Decode[event.Payment](f)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(got.ChargeID, "ch_") || strings.HasPrefix(got.RefundID, "re_") != (i == 1) {
			t.Errorf("%s carries %+v", f.Name, got)
		}
		if diff := cmp.Diff(p.terms(), got.Terms); diff != "" {
			t.Error(diff)
		}
	}
	why, err := event.Decode[event.Payment](w.said(declined.id)[0])
	if err != nil || why.Reason != "insufficient_funds" {
		t.Errorf("declined for %q, %v", why.Reason, err)
	}
}

func TestGiveBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	free := buy("pm_ok")
	free.amount = 0
	for _, c := range []struct {
		name  string
		p     purchase
		from  payment.State
		state payment.State
		said  string
		money money
	}{
		{"charged", buy("pm_ok"), payment.Success, payment.Refunded, "processed refunded", repaid},
		{"declined", buy("pm_declined"), payment.Declined, payment.Declined, "failed", nothing},
		{"free", free, payment.Success, payment.Voided, "processed voided", nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &world{t, w.env, w.provider, w.url}
			w.hear(service.Charge, c.p.fact(event.OrderCreated))
			w.reach(c.p.id, c.from)
			w.hear(service.GiveBack, c.p.fact(event.StockFailed), c.p.fact(event.OrderEnding))
			w.hear(service.GiveBack, c.p.fact(event.OrderEnding))
			w.reach(c.p.id, c.state)
			w.hear(service.GiveBack, c.p.fact(event.OrderEnding))
			w.hear(service.Charge, c.p.fact(event.StockReserved))
			w.rest()
			w.expect(c.p, c.state, c.said, c.money)
		})
	}
}

// An order ends while the outcome of its charge is unknown: the provider is told to close the key, and says what became of it.
func TestGiveBackOfTheUnknown(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, method string
		state        payment.State
		said         string
		money        money
	}{
		{"charged", "pm_timeout_after_charge", payment.Refunded, "unknown refunded", repaid},
		{"not charged", "pm_error_once", payment.Voided, "unknown voided", nothing},
		{"still on its way", "pm_ok", payment.Voided, "unknown voided", nothing},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := buy(c.method)
			var by payment.Provider = w.provider
			if c.name == "still on its way" {
				by = stuck{w.provider}
			}
			w.attempt(p, by)
			w.hear(w.idle().GiveBack, p.fact(event.OrderEnding))
			w.charger(nil)
			w.reach(p.id, c.state)
			w.expect(p, c.state, c.said, c.money)
			late := intentOf(p)
			late.ChargeID = ""
			if _, err := w.provider.Charge(t.Context(), late); err != nil { // now it arrives, or arrives again
				t.Error(err)
			}
			w.expect(p, c.state, c.said, c.money)
		})
	}
}

// A charge that is slower than we wait is asked for again, and is one charge.
func TestImpatience(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *sandbox.Options) { o.SlowBy = 2 * time.Second })
	service, _, _ := w.charger(w.client(200 * time.Millisecond))
	p := buy("pm_slow")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Success)
	w.expect(p, payment.Success, "unknown processed", paid)
}

// What was given back before anybody asked the provider is never charged, whichever fact came first.
func TestVoidedWithoutTheProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	verbs := w.idle()
	wanted, unwanted, sameBatch := buy("pm_ok"), buy("pm_ok"), buy("pm_ok")
	w.hear(verbs.Charge, wanted.fact(event.OrderCreated))
	w.hear(verbs.GiveBack, wanted.fact(event.OrderEnding), unwanted.fact(event.OrderEnding))
	w.hear(verbs.GiveBack, sameBatch.fact(event.OrderEnding), sameBatch.fact(event.StockFailed), sameBatch.fact(event.OrderEnding))
	w.hear(verbs.Charge, unwanted.fact(event.StockReserved), sameBatch.fact(event.OrderCreated))
	last := buy("pm_ok")
	service, _, _ := w.charger(nil)
	w.hear(service.Charge, last.fact(event.OrderCreated))
	w.reach(last.id, payment.Success)
	for _, p := range []purchase{wanted, unwanted, sameBatch} {
		w.expect(p, payment.Voided, "voided", nothing)
	}
}

func TestOrderOfNothingNeedsNoProvider(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := buy("pm_declined")
	p.amount = 0
	w.hear(w.idle().Charge, p.fact(event.OrderCreated), p.fact(event.OrderCreated))
	w.hear(w.idle().Charge, p.fact(event.StockReserved))
	w.expect(p, payment.Success, "processed", nothing)
}

// A fact that cannot be charged fails its batch, and leaves no trace: the others are heard when they come alone.
func TestPoisonHurtsItselfAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	service, _, _ := w.charger(nil)
	good := buy("pm_ok")
	for name, spoil := range map[string]func(*event.Fact){
		"less than nothing": func(f *event.Fact) { f.Data = []byte(`{"total_minor":-1,"currency":"GBP","payment_method":"pm_ok"}`) },
		"no currency":       func(f *event.Fact) { f.Data = []byte(`{"total_minor":1,"currency":"gbp","payment_method":"pm_ok"}`) },
		"no method":         func(f *event.Fact) { f.Data = []byte(`{"total_minor":1,"currency":"GBP"}`) },
		"another shape":     func(f *event.Fact) { f.Data = []byte(`{"total_minor":"1"}`) },
		"no order":          func(f *event.Fact) { f.OrderID = uuid.Nil },
	} {
		bad := buy("pm_ok").fact(event.OrderCreated)
		spoil(&bad)
		if err := service.Charge(t.Context(), []event.Fact{good.fact(event.OrderCreated), bad}); err == nil {
			t.Errorf("%s was charged", name)
		}
	}
	if got := w.state(good.id); got != "none" {
		t.Errorf("a failed batch left a payment that is %s", got)
	}
	w.hear(service.Charge, good.fact(event.OrderCreated))
	w.reach(good.id, payment.Success)
}
