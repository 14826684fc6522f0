package payment_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/sandbox"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// notices hears the sandbox's webhooks.
func (w *world) notices(wake func()) *payment.Notices {
	client := payment.NewSandbox(payment.SandboxOptions{URL: w.url, APIKey: apiKey, WebhookSecret: hookSecret})
	return payment.NewNotices(w.env.DB, client, wake, w.env.Log, prometheus.NewRegistry())
}

// post gives the sandbox an address for its webhooks, and what was told there.
func post(t *testing.T) (address func(*sandbox.Options), told chan *http.Request) {
	t.Helper()
	told = make(chan *http.Request, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		told <- &http.Request{Header: r.Header, Form: map[string][]string{"body": {string(body)}}}
	}))
	t.Cleanup(server.Close)
	return func(o *sandbox.Options) {
		o.Webhooks = sandbox.Webhooks{URL: server.URL, Secret: hookSecret, Delay: -1}
	}, told
}

// hearNext hands the next webhook over, several times, and to several at once.
func (w *world) hearNext(n *payment.Notices, told chan *http.Request) {
	w.Helper()
	select {
	case r := <-told:
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := n.Hear(w.Context(), r.Header, []byte(r.Form.Get("body"))); err != nil {
					w.Errorf("%s: %v", r.Form.Get("body"), err)
				}
			})
		}
		all.Wait()
	case <-time.After(enough):
		w.Fatal("no webhook came")
	}
}

// Nobody knows what became of a charge until its webhook comes. It ends the payment, once, as an answer would have.
func TestWebhookEndsTheUnknown(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	notices := w.notices(func() {})

	p := buy("pm_timeout_after_charge")
	w.attempt(p, w.provider)
	w.hearNext(notices, told)
	w.expect(p, payment.Success, "unknown processed", paid)

	late := buy("pm_timeout_after_charge")
	w.attempt(late, w.provider)
	w.hear(w.idle().GiveBack, late.fact(event.OrderEnding))
	w.hearNext(notices, told)
	if got := w.state(late.id); got != payment.Refunding {
		t.Errorf("a late success of an order that ends is %s", got)
	}
	w.charger(nil)
	w.reach(late.id, payment.Refunded)
	w.hearNext(notices, told) // of the refund
	w.expect(late, payment.Refunded, "unknown refunded", repaid)
}

// The webhook is faster than the answer: the answer changes nothing any more.
func TestWebhookBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	g := newGate()
	service, _, stop := w.charger(between{Provider: w.provider, after: g.hold("charge")})
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	<-g.reached
	w.hearNext(w.notices(func() {}), told)
	w.expect(p, payment.Success, "processed", paid)
	close(g.open)
	stop()
	w.expect(p, payment.Success, "processed", paid)
}

// What was declined, and heard of, is told by a webhook too: it is taken, or it would be told for days.
func TestWebhookOfWhatIsKnown(t *testing.T) {
	t.Parallel()
	address, told := post(t)
	w := newWorld(t, address)
	service, _, _ := w.charger(nil)
	for method, end := range map[string]payment.State{"pm_ok": payment.Success, "pm_declined": payment.Declined} {
		p := buy(method)
		w.hear(service.Charge, p.fact(event.OrderCreated))
		w.reach(p.id, end)
		w.hearNext(w.notices(func() {}), told)
		if got := w.state(p.id); got != end {
			t.Errorf("%s: %s", method, got)
		}
	}
}

// signed makes the headers of a webhook.
func signed(t *testing.T, secret, id string, at time.Time, body []byte) http.Header {
	t.Helper()
	signer, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := signer.Sign(id, at, body)
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	h.Set("webhook-id", id)
	h.Set("webhook-timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("webhook-signature", signature)
	return h
}

// What is not signed, too old, or does not fit the payment changes nothing.
func TestWebhooksThatAreNotTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	notices := w.notices(func() {})
	p := buy("pm_ok")
	w.attempt(p, stuck{w.provider})
	charge, _, _ := wires(p)
	body := func(kind string, data any) []byte {
		raw, err := json.Marshal(map[string]any{"type": kind, "data": data})
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	good := body("charge.succeeded", charge)
	now := time.Now()
	other := uuid.NewString()
	for name, c := range map[string]struct {
		header http.Header
		body   []byte
		want   error
	}{
		"no signature":     {http.Header{}, good, payment.ErrForged},
		"another's secret": {signed(t, "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "evt_1", now, good), good, payment.ErrForged},
		"another body":     {signed(t, hookSecret, "evt_1", now, good), append([]byte(" "), good...), payment.ErrForged},
		"another id": {func() http.Header {
			h := signed(t, hookSecret, "evt_1", now, good)
			h.Set("webhook-id", "evt_2")
			return h
		}(), good, payment.ErrForged},
		"too old":          {signed(t, hookSecret, "evt_1", now.Add(-6*time.Minute), good), good, payment.ErrForged},
		"from the future":  {signed(t, hookSecret, "evt_1", now.Add(6*time.Minute), good), good, payment.ErrForged},
		"no JSON":          {nil, []byte(`{"type": "charge.`), payment.ErrUnreadable},
		"no type":          {nil, []byte(`{}`), payment.ErrUnreadable},
		"no id":            {nil, body("charge.succeeded", changed(charge, "id", "")), payment.ErrUnreadable},
		"another amount":   {nil, body("charge.succeeded", changed(charge, "amount_minor", p.amount+1)), payment.ErrNotOurs},
		"another currency": {nil, body("charge.succeeded", changed(charge, "currency", "EUR")), payment.ErrNotOurs},
		"another key":      {nil, body("charge.succeeded", changed(charge, "key", "charge-"+other)), payment.ErrNotOurs},
		"another order":    {nil, body("charge.succeeded", changed(charge, "order_id", other)), payment.ErrNotOurs},
		"no order at all":  {nil, body("charge.succeeded", changed(charge, "order_id", "x")), payment.ErrNotOurs},
		"another kind":     {nil, body("dispute.opened", charge), nil},
	} {
		if c.header == nil {
			c.header = signed(t, hookSecret, "evt_1", now, c.body)
		}
		if err := notices.Hear(t.Context(), c.header, c.body); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if got := w.names(p.id); got != "unknown" || w.state(p.id) != payment.Unknown {
			t.Fatalf("%s: said %q", name, got)
		}
	}
	deafOnes := payment.NewNotices(w.env.DB, w.provider, func() {}, w.env.Log, prometheus.NewRegistry())
	if err := deafOnes.Hear(t.Context(), signed(t, "whsec_", "evt_1", now, good), good); !errors.Is(err, payment.ErrForged) {
		t.Errorf("without a secret: %v", err)
	}
	if err := notices.Hear(t.Context(), signed(t, hookSecret, "evt_1", now, good), good); err != nil || w.state(p.id) != payment.Success {
		t.Errorf("the good one: %v", err)
	}
}

// failing is a provider that tells of an attempt that has failed.
type failing struct {
	payment.Provider
	key, order string
}

func (failing) Name() string { return "failing" }

func (f failing) Notice(http.Header, []byte) (payment.Line, error) {
	return payment.Line{Verdict: payment.Absent, ID: "pi_1", Key: f.key, OrderID: f.order, Reason: "card_declined"}, nil
}

// An attempt that has failed decides nothing: it has the provider asked now. Who asks ends the charge there before the payment is
// declined, so that nobody who dies in between leaves it open.
func TestAFailedAttemptIsAskedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, other := buy("pm_ok"), buy("pm_ok")
	w.attempt(p, stuck{w.provider})
	for _, of := range []struct {
		purchase
		key  string
		dues int
	}{{p, "charge-" + p.id.String(), 1}, {p, "charge-" + other.id.String(), 0}, {other, "charge-" + other.id.String(), 0}} {
		if _, err := w.env.DB.Exec(t.Context(), `UPDATE payment.payments SET due_at = now() + interval '1 hour' WHERE order_id = $1`, p.id); err != nil {
			t.Fatal(err)
		}
		woken := 0
		n := payment.NewNotices(w.env.DB, failing{w.provider, of.key, of.id.String()}, func() { woken++ }, w.env.Log, prometheus.NewRegistry())
		if err := n.Hear(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		var due int
		if err := w.env.DB.QueryRow(t.Context(), `SELECT count(*) FROM payment.payments WHERE due_at <= now() AND state = 'UNKNOWN'`).Scan(&due); err != nil {
			t.Fatal(err)
		}
		if due != of.dues || woken != of.dues {
			t.Errorf("%s: %d payments are due, woken %d times", of.key, due, woken)
		}
	}
}
