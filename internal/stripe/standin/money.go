package standin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// open makes a PaymentIntent that nobody has confirmed.
func (a *Account) open(form url.Values) reply {
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	if err != nil || amount <= 0 {
		return refuse(http.StatusBadRequest, "invalid_request_error", "parameter_invalid_integer", "amount")
	}
	pi := Object{
		"id": a.newID("pi"), "object": "payment_intent", "amount": amount, "amount_received": int64(0), "currency": form.Get("currency"),
		"status": "requires_payment_method", "created": a.server.Now().Unix(), "livemode": false, "metadata": metadata(form),
		"latest_charge": nil, "last_payment_error": nil, "cancellation_reason": nil,
	}
	a.intents = append(a.intents, pi)
	return reply{http.StatusOK, pi}
}

func metadata(form url.Values) Object {
	of := Object{}
	for name := range form {
		if key, found := strings.CutPrefix(name, "metadata["); found {
			of[strings.TrimSuffix(key, "]")] = form.Get(name)
		}
	}
	return of
}

func (a *Account) confirm(pi Object, method string) reply {
	switch {
	case pi["status"] == "succeeded", pi["status"] == "canceled":
		return refuse(http.StatusBadRequest, "invalid_request_error", "payment_intent_unexpected_state", "")
	case method != "pm_card_visa":
		declined := Object{"type": "card_error", "code": "card_declined", "decline_code": "generic_decline"}
		pi["status"], pi["last_payment_error"] = "requires_payment_method", declined
		a.tell("payment_intent.payment_failed", pi)
		return reply{http.StatusPaymentRequired, Object{"error": declined}}
	}
	pi["status"], pi["amount_received"], pi["latest_charge"] = "succeeded", pi["amount"], a.newID("ch")
	a.tell("payment_intent.succeeded", pi)
	return reply{http.StatusOK, pi}
}

func (a *Account) cancel(pi Object, why string) reply {
	if pi["status"] == "succeeded" || pi["status"] == "canceled" {
		return refuse(http.StatusBadRequest, "invalid_request_error", "payment_intent_unexpected_state", "")
	}
	pi["status"], pi["cancellation_reason"] = "canceled", why
	a.tell("payment_intent.canceled", pi)
	return reply{http.StatusOK, pi}
}

// expanded shows a PaymentIntent with its charge, as far as that is read.
func (a *Account) expanded(pi Object) Object {
	shown := Object{}
	for key, value := range pi {
		shown[key] = value
	}
	if pi["latest_charge"] != nil {
		shown["latest_charge"] = Object{"id": pi["latest_charge"], "object": "charge", "amount_refunded": a.refunded(pi["id"])}
	}
	return shown
}

func (a *Account) refunded(pi any) (sum int64) {
	for _, r := range a.refunds {
		if r["payment_intent"] == pi && (r["status"] == "succeeded" || r["status"] == "pending") {
			sum += r["amount"].(int64)
		}
	}
	return sum
}

// refund gives money back at once.
func (a *Account) refund(form url.Values) reply {
	pi := find(a.intents, form.Get("payment_intent"))
	if pi == nil {
		return refuse(http.StatusNotFound, "invalid_request_error", "resource_missing", "payment_intent")
	}
	amount, err := strconv.ParseInt(form.Get("amount"), 10, 64)
	switch left := pi["amount_received"].(int64) - a.refunded(pi["id"]); {
	case err != nil:
		return refuse(http.StatusBadRequest, "invalid_request_error", "parameter_invalid_integer", "amount")
	case a.isDisputed(pi["id"]):
		return refuseDisputed()
	case amount > left:
		return refuse(http.StatusBadRequest, "invalid_request_error", "charge_already_refunded", "")
	}
	r := Object{
		"id": a.newID("re"), "object": "refund", "amount": amount, "currency": pi["currency"], "status": "succeeded", "created": a.server.Now().Unix(),
		"payment_intent": pi["id"], "charge": pi["latest_charge"], "metadata": metadata(form),
	}
	a.refunds = append(a.refunds, r)
	a.tell("refund.created", r)
	return reply{http.StatusOK, r}
}

// tell adds an event with its object as it is now.
func (a *Account) tell(kind string, of Object) {
	raw, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	event := Object{
		"id": a.newID("evt"), "object": "event", "type": kind, "created": a.server.Now().Unix(), "livemode": false,
		"data": Object{"object": json.RawMessage(raw)},
	}
	a.events = append(a.events, event)
	if a.told != nil {
		a.told <- event // it has room for all that a test makes
	}
}
