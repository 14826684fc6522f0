package standin

import (
	"net/http"
	"slices"
)

// FailRefund has a refund fail though it had succeeded, as Stripe does days later when a bank sends the money back.
func (a *Account) FailRefund(id, reason string) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	r := find(a.refunds, id)
	r["status"], r["failure_reason"] = "failed", reason
	a.tell("refund.updated", r)
	a.tell("refund.failed", r)
}

// Dispute has a customer's bank take the charge of a PaymentIntent back, and gives the dispute's id. Stripe withdraws the money at once.
func (a *Account) Dispute(intent string) string {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	pi := find(a.intents, intent)
	d := Object{
		"id": a.newID("dp"), "object": "dispute", "amount": pi["amount_received"], "currency": pi["currency"], "charge": pi["latest_charge"],
		"payment_intent": intent, "reason": "fraudulent", "status": "needs_response", "created": a.server.Now().Unix(), "metadata": Object{},
		"balance_transactions": []Object{},
	}
	a.disputes = append(a.disputes, d)
	a.tell("charge.dispute.created", d)
	d["balance_transactions"] = []Object{{"id": a.newID("txn"), "object": "balance_transaction"}}
	a.tell("charge.dispute.funds_withdrawn", d)
	return d["id"].(string)
}

// EndDispute has a dispute be won or lost. Of one that is won Stripe gives the money back.
func (a *Account) EndDispute(id, status string) {
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	d := find(a.disputes, id)
	if d["status"] = status; status == "won" {
		d["balance_transactions"] = append(d["balance_transactions"].([]Object), Object{"id": a.newID("txn"), "object": "balance_transaction"})
		a.tell("charge.dispute.funds_reinstated", d)
	}
	a.tell("charge.dispute.closed", d)
}

// isDisputed says whether the money of a PaymentIntent is in dispute: Stripe refuses to give it back then.
func (a *Account) isDisputed(pi any) bool {
	return slices.ContainsFunc(a.disputes, func(d Object) bool { return d["payment_intent"] == pi && d["status"] != "won" })
}

func refuseDisputed() reply {
	return refuse(http.StatusBadRequest, "invalid_request_error", "charge_disputed", "")
}
