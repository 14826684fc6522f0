package stripe

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/payment/promise"
)

const namespace = "shop"

func at(t *testing.T, url string) *Stripe {
	t.Helper()
	s := New(Options{Key: promise.Key, URL: url, Namespace: namespace, WebhookSecret: hookSecret, Timeout: 5 * time.Second})
	t.Cleanup(s.Hangup)
	return s
}

// bought is an intent that was opened.
func bought() payment.Intent {
	in := promise.Intent("pm_ok")
	in.OpenedAs, in.ChargeID = "pi_1", "pi_1"
	return in
}

type object = map[string]any

// with is an object with other values.
func with(o object, change object) object {
	o = maps.Clone(o)
	maps.Copy(o, change)
	return o
}

// intentOf is the PaymentIntent of an intent as Stripe shows it, as far as it is read.
func intentOf(in payment.Intent, status string) object {
	return object{
		"id": "pi_1", "object": "payment_intent", "amount": in.Terms.TotalMinor, "amount_received": 0, "currency": "gbp", "status": status,
		"client_secret": "pi_1_secret_x", "capture_method": "automatic_async", "latest_charge": nil, "last_payment_error": nil, "cancellation_reason": nil,
		"metadata": object{ofNamespace: namespace, ofOrder: in.OrderID.String(), ofKey: in.ChargeKey},
	}
}

func refundOf(in payment.Intent, status string) object {
	return object{
		"id": "re_1", "object": "refund", "amount": in.Terms.TotalMinor, "currency": "gbp", "status": status, "payment_intent": "pi_1", "charge": "ch_1",
		"metadata": object{ofNamespace: namespace, ofOrder: in.OrderID.String(), ofKey: in.RefundKey},
	}
}

func listOf(all ...object) object {
	return object{"object": "list", "has_more": false, "data": append([]object{}, all...)}
}

// saying is what a request is answered.
type saying struct {
	status int
	body   any
}

func ok(body any) saying { return saying{200, body} }

func no(status int, kind, code, param string) saying {
	return saying{status, object{"error": object{"type": kind, "code": code, "param": param, "message": "in words, with " + promise.Key}}}
}

// play is a server that answers each request by its name, and notes which were made.
func play(t *testing.T, says map[string]saying) (*Stripe, func() []string) {
	t.Helper()
	var mu sync.Mutex
	var made []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1/")
		mu.Lock()
		made = append(made, name)
		mu.Unlock()
		said, known := says[name]
		if !known {
			t.Errorf("nobody expected %s", name)
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(said.status)
		if err := json.NewEncoder(w).Encode(said.body); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	return at(t, server.URL), func() []string { return made }
}

const (
	opens    = "POST payment_intents"
	confirms = "POST payment_intents/pi_1/confirm"
	shows    = "GET payment_intents/pi_1"
	cancels  = "POST payment_intents/pi_1/cancel"
	refunds  = "POST refunds"
	lists    = "GET refunds"
)

// Every answer of Stripe's comes to the one outcome that it means, or to none.
func TestWhatAnswersMean(t *testing.T) {
	t.Parallel()
	in := bought()
	paid := with(intentOf(in, "succeeded"), object{"amount_received": in.Terms.TotalMinor, "latest_charge": "ch_1"})
	shown := with(paid, object{"latest_charge": object{"id": "ch_1", "object": "charge", "amount_refunded": 0}})
	returned := with(paid, object{"latest_charge": object{"id": "ch_1", "object": "charge", "amount_refunded": in.Terms.TotalMinor}})
	poor := with(intentOf(in, "requires_payment_method"), object{"last_payment_error": object{"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}})
	gone := with(intentOf(in, "canceled"), object{"cancellation_reason": "requested_by_customer"})
	left := with(intentOf(in, "canceled"), object{"cancellation_reason": "abandoned"})
	fresh, busy := intentOf(in, "requires_payment_method"), intentOf(in, "processing")
	act := with(intentOf(in, "requires_action"), object{"next_action": object{"type": "use_stripe_sdk"}})
	wrongState := no(400, "invalid_request_error", "payment_intent_unexpected_state", "")
	declined := no(402, "card_error", "card_declined", "")
	later := no(409, "idempotency_error", "idempotency_key_in_use", "")
	charge := func(s *Stripe) (payment.Outcome, error) { return s.Charge(t.Context(), in) }
	lookup := func(s *Stripe) (payment.Outcome, error) { return s.Lookup(t.Context(), in) }
	closing := func(s *Stripe) (payment.Outcome, error) { return s.Close(t.Context(), in) }
	refund := func(s *Stripe) (payment.Outcome, error) { return s.Refund(t.Context(), in) }
	opening := func(s *Stripe) (payment.Outcome, error) { return s.Open(t.Context(), in) }
	wasCharged := payment.Outcome{Verdict: payment.Charged, ChargeID: "pi_1"}
	wasReturned := payment.Outcome{Verdict: payment.GivenBack, ChargeID: "pi_1", RefundID: "re_1"}
	rejected := func(why string) payment.Outcome { return payment.Outcome{Verdict: payment.Rejected, Reason: why} }
	closed, absent, none := payment.Outcome{Verdict: payment.Closed}, payment.Outcome{Verdict: payment.Absent}, payment.Outcome{}
	for name, c := range map[string]struct {
		do   func(*Stripe) (payment.Outcome, error)
		says map[string]saying
		want payment.Outcome
	}{
		"opened":                       {opening, map[string]saying{opens: ok(fresh)}, payment.Outcome{Verdict: payment.Opened, ChargeID: "pi_1"}},
		"too little to be charged":     {opening, map[string]saying{opens: no(400, "invalid_request_error", "amount_too_small", "amount")}, rejected("amount_too_small")},
		"a currency that is not taken": {opening, map[string]saying{opens: no(400, "invalid_request_error", "", "currency")}, rejected("currency")},
		"an account of no use":         {opening, map[string]saying{opens: no(400, "invalid_request_error", "", "")}, none},
		"another's opened":             {opening, map[string]saying{opens: ok(with(fresh, object{"metadata": object{}}))}, none},

		"charged":                     {charge, map[string]saying{confirms: ok(paid)}, wasCharged},
		"charged in part":             {charge, map[string]saying{confirms: ok(with(paid, object{"amount_received": 1}))}, none},
		"charged before":              {charge, map[string]saying{confirms: wrongState, shows: ok(shown)}, wasCharged},
		"closed before":               {charge, map[string]saying{confirms: wrongState, shows: ok(gone)}, closed},
		"declined":                    {charge, map[string]saying{confirms: declined, shows: ok(poor), cancels: ok(left)}, rejected("insufficient_funds")},
		"declined, not cancelled yet": {charge, map[string]saying{confirms: declined, shows: ok(poor), cancels: later}, none},
		"declined, says nobody else":  {charge, map[string]saying{confirms: declined, shows: ok(fresh)}, absent},
		"a method that is none":       {charge, map[string]saying{confirms: no(404, "invalid_request_error", "resource_missing", "payment_method"), cancels: ok(left)}, rejected("resource_missing")},
		"an intent that is none":      {charge, map[string]saying{confirms: no(404, "invalid_request_error", "resource_missing", "intent")}, none},
		"wants the customer":          {charge, map[string]saying{confirms: ok(act), cancels: ok(left)}, rejected("authentication_required")},
		"still at it":                 {charge, map[string]saying{confirms: ok(busy)}, none},
		"to be captured by hand":      {charge, map[string]saying{confirms: ok(intentOf(in, "requires_capture"))}, none},
		"of a status yet unknown":     {charge, map[string]saying{confirms: ok(intentOf(in, "succeeded_somehow"))}, none},

		"nobody has confirmed":       {lookup, map[string]saying{shows: ok(intentOf(in, "requires_confirmation"))}, absent},
		"shown as charged":           {lookup, map[string]saying{shows: ok(shown)}, wasCharged},
		"shown as given back":        {lookup, map[string]saying{shows: ok(returned), lists: ok(listOf(refundOf(in, "succeeded")))}, wasReturned},
		"being given back":           {lookup, map[string]saying{shows: ok(returned), lists: ok(listOf(refundOf(in, "pending")))}, wasCharged},
		"shown as declined":          {lookup, map[string]saying{shows: ok(poor), cancels: ok(left)}, rejected("insufficient_funds")},
		"declined and cancelled":     {lookup, map[string]saying{shows: ok(with(left, object{"last_payment_error": poor["last_payment_error"]}))}, rejected("insufficient_funds")},
		"cancelled for a decline":    {lookup, map[string]saying{shows: ok(left)}, rejected("declined")},
		"cancelled by hand":          {lookup, map[string]saying{shows: ok(gone)}, closed},
		"of another account":         {lookup, map[string]saying{shows: no(404, "invalid_request_error", "resource_missing", "intent")}, absent},
		"of another shop":            {lookup, map[string]saying{shows: ok(with(paid, object{"metadata": with(paid["metadata"].(object), object{ofNamespace: "other"})}))}, none},
		"of another order":           {lookup, map[string]saying{shows: ok(with(paid, object{"metadata": with(paid["metadata"].(object), object{ofOrder: "other"})}))}, none},
		"under another key":          {lookup, map[string]saying{shows: ok(with(paid, object{"metadata": with(paid["metadata"].(object), object{ofKey: "other"})}))}, none},
		"of another id":              {lookup, map[string]saying{shows: ok(with(paid, object{"id": "pi_2"}))}, none},
		"of another currency":        {lookup, map[string]saying{shows: ok(with(paid, object{"currency": "eur"}))}, none},
		"of another amount":          {lookup, map[string]saying{shows: ok(with(paid, object{"amount": 1, "amount_received": 1}))}, none},
		"closed":                     {closing, map[string]saying{cancels: ok(gone)}, closed},
		"closed after a charge":      {closing, map[string]saying{cancels: wrongState, shows: ok(shown)}, wasCharged},
		"closed after a refund":      {closing, map[string]saying{cancels: wrongState, shows: ok(returned), lists: ok(listOf(refundOf(in, "succeeded")))}, wasReturned},
		"closed after a decline":     {closing, map[string]saying{cancels: wrongState, shows: ok(left)}, rejected("declined")},
		"closed while it is charged": {closing, map[string]saying{cancels: wrongState, shows: ok(busy)}, none},
		"closed at a bad moment":     {closing, map[string]saying{cancels: no(429, "invalid_request_error", "lock_timeout", "")}, none},

		"given back":              {refund, map[string]saying{lists: ok(listOf()), refunds: ok(refundOf(in, "succeeded"))}, wasReturned},
		"given back before":       {refund, map[string]saying{lists: ok(listOf(refundOf(in, "failed"), refundOf(in, "succeeded")))}, wasReturned},
		"given back by hand":      {refund, map[string]saying{lists: ok(listOf(with(refundOf(in, "succeeded"), object{"metadata": object{}})))}, wasReturned},
		"on its way back":         {refund, map[string]saying{lists: ok(listOf(refundOf(in, "pending")))}, none},
		"to be on its way":        {refund, map[string]saying{lists: ok(listOf()), refunds: ok(refundOf(in, "pending"))}, none},
		"came back from the bank": {refund, map[string]saying{lists: ok(listOf(refundOf(in, "failed"))), refunds: ok(refundOf(in, "succeeded"))}, wasReturned},
		"comes back every time":   {refund, map[string]saying{lists: ok(listOf(refundOf(in, "failed"), refundOf(in, "failed"), refundOf(in, "failed"), refundOf(in, "failed")))}, none},
		"a part given back":       {refund, map[string]saying{lists: ok(listOf(with(refundOf(in, "succeeded"), object{"amount": 1}))), refunds: no(400, "invalid_request_error", "", "amount")}, none},
		"another's refund":        {refund, map[string]saying{lists: ok(listOf(with(refundOf(in, "succeeded"), object{"payment_intent": "pi_2"})))}, none},
		"another amount refunded": {refund, map[string]saying{lists: ok(listOf()), refunds: ok(with(refundOf(in, "succeeded"), object{"amount": 1}))}, none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, made := play(t, c.says)
			got, err := c.do(s)
			if got != c.want || (err == nil) != (c.want != none) {
				t.Errorf("%+v, %v, want %+v", got, err, c.want)
			}
			if err != nil && (strings.Contains(err.Error(), promise.Key) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("the error quotes what it should not: %v", err)
			}
			if len(made()) != len(c.says) {
				t.Errorf("asked %v", made())
			}
		})
	}
}

// What was never opened is not asked for, and what cannot be said is not opened.
func TestWhatNeedsNoAsking(t *testing.T) {
	t.Parallel()
	s, _ := play(t, nil)
	in := promise.Intent("pm_ok")
	if _, err := s.Charge(t.Context(), in); err == nil {
		t.Error("charged what was not opened")
	}
	found, err := s.Lookup(t.Context(), in)
	ended, closeErr := s.Close(t.Context(), in)
	if err != nil || closeErr != nil || found.Verdict != payment.Absent || ended.Verdict != payment.Closed {
		t.Errorf("found %+v, %v, closed %+v, %v", found, err, ended, closeErr)
	}
	in.Terms.Currency, in.Terms.TotalMinor = "KWD", 1001
	odd, err := s.Open(t.Context(), in)
	if err != nil || odd.Verdict != payment.Rejected || odd.Reason == "" {
		t.Errorf("opened as %+v, %v", odd, err)
	}
}

// What is sent is the same for the same intent, so that Stripe knows it again; the sandbox's payment methods are Stripe's of test mode.
func TestWhatIsSent(t *testing.T) {
	t.Parallel()
	in := bought()
	var sent []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = append(sent, fmt.Sprintf("%s %s %s", r.URL.Path, r.Header.Get("Idempotency-Key"), raw))
		http.Error(w, "{}", http.StatusInternalServerError)
	}))
	t.Cleanup(server.Close)
	for _, c := range []struct{ key, method, want string }{
		{"sk_test_x", "pm_ok", "payment_method=pm_card_visa"},
		{"rk_test_x", "pm_declined", "payment_method=pm_card_chargeDeclined"},
		{"sk_test_x", "pm_1abc", "payment_method=pm_1abc"},
		{"sk_live_x", "pm_ok", "payment_method=pm_ok"},
	} {
		s := New(Options{Key: c.key, URL: server.URL, Namespace: namespace})
		in.Terms.PaymentMethod, sent = c.method, nil
		for range 2 {
			if _, err := s.Charge(t.Context(), in); err == nil {
				t.Fatal("an error was believed")
			}
		}
		if len(sent) != 2 || sent[0] != sent[1] || !strings.Contains(sent[0], "/confirm confirm-pi_1 ") || !strings.Contains(sent[0], c.want) {
			t.Errorf("sent %q, want %s", sent, c.want)
		}
		s.Hangup()
	}
}

// What is no answer is no outcome, whoever it comes from.
func TestNoAnswerIsAnOutcome(t *testing.T) {
	t.Parallel()
	in := bought()
	good, err := json.Marshal(with(intentOf(in, "succeeded"), object{"amount_received": in.Terms.TotalMinor}))
	if err != nil {
		t.Fatal(err)
	}
	promise.Wire(t, func(t *testing.T, url string) payment.Provider { return at(t, url) }, in, good)
}
