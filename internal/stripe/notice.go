package stripe

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v85"
	"github.com/stripe/stripe-go/v85/webhook"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// Notice reads a webhook of Stripe's. Its signature is good for five minutes on Stripe's clock.
func (s *Stripe) Notice(header http.Header, body []byte) (payment.Line, error) {
	if s.secret == "" {
		return payment.Line{}, fmt.Errorf("%w: no secret of Stripe's webhooks is configured", payment.ErrForged)
	}
	// Which version of Stripe's interface an endpoint speaks is chosen there; what is read here is the same in all of them.
	event, err := webhook.ConstructEventWithOptions(body, header.Get("Stripe-Signature"), s.secret, webhook.ConstructEventOptions{IgnoreAPIVersionMismatch: true, IgnoreTolerance: true})
	for _, forged := range []error{webhook.ErrNotSigned, webhook.ErrInvalidHeader, webhook.ErrNoValidSignature} {
		if errors.Is(err, forged) {
			return payment.Line{}, fmt.Errorf("%w: %w", payment.ErrForged, err)
		}
	}
	if err != nil {
		return payment.Line{}, fmt.Errorf("%w: %w", payment.ErrUnreadable, err)
	}
	for _, part := range strings.Split(header.Get("Stripe-Signature"), ",") { // one of them is what the signature is of
		if second, is := strings.CutPrefix(strings.TrimSpace(part), "t="); is {
			if err := payment.Timely(second, s.now()); err != nil {
				return payment.Line{}, err
			}
		}
	}
	return s.line(&event)
}

// toldOf are the events that say what became of charges and refunds. Stripe lists those of at most twenty kinds at once.
var toldOf = []*string{
	stripe.String(string(stripe.EventTypePaymentIntentSucceeded)), stripe.String(string(stripe.EventTypePaymentIntentPaymentFailed)),
	stripe.String(string(stripe.EventTypePaymentIntentCanceled)), stripe.String(string(stripe.EventTypeChargeRefunded)),
	stripe.String(string(stripe.EventTypeRefundCreated)), stripe.String(string(stripe.EventTypeRefundUpdated)),
	stripe.String(string(stripe.EventTypeRefundFailed)), stripe.String(string(stripe.EventTypeChargeRefundUpdated)),
	stripe.String(string(stripe.EventTypeChargeDisputeCreated)), stripe.String(string(stripe.EventTypeChargeDisputeUpdated)),
	stripe.String(string(stripe.EventTypeChargeDisputeClosed)), stripe.String(string(stripe.EventTypeChargeDisputeFundsWithdrawn)),
	stripe.String(string(stripe.EventTypeChargeDisputeFundsReinstated)),
}

// line is an event as any provider's books have it. One of another kind, or of what is not ours, has no verdict.
func (s *Stripe) line(e *stripe.Event) (line payment.Line, err error) {
	if e.ID == "" || e.Data == nil {
		return payment.Line{}, payment.ErrUnreadable
	}
	switch e.Type {
	case stripe.EventTypePaymentIntentSucceeded, stripe.EventTypePaymentIntentPaymentFailed, stripe.EventTypePaymentIntentCanceled:
		line, err = s.lineOfCharge(e)
	case stripe.EventTypeRefundCreated, stripe.EventTypeRefundUpdated, stripe.EventTypeRefundFailed, stripe.EventTypeChargeRefundUpdated:
		var r stripe.Refund
		if err = json.Unmarshal(e.Data.Raw, &r); err == nil {
			line, err = s.lineOfRefund(&r)
		}
	case stripe.EventTypeChargeDisputeCreated, stripe.EventTypeChargeDisputeUpdated, stripe.EventTypeChargeDisputeClosed,
		stripe.EventTypeChargeDisputeFundsWithdrawn, stripe.EventTypeChargeDisputeFundsReinstated:
		var d stripe.Dispute
		if err = json.Unmarshal(e.Data.Raw, &d); err == nil {
			line, err = s.lineOfDispute(&d)
		}
	case stripe.EventTypeChargeRefunded: // older versions of the interface tell the refunds in it; the newer tell them by themselves
		var c stripe.Charge
		if err = json.Unmarshal(e.Data.Raw, &c); err == nil && c.Refunds != nil && len(c.Refunds.Data) > 0 {
			line, err = s.lineOfRefund(c.Refunds.Data[0])
		}
	}
	if err != nil {
		return payment.Line{}, fmt.Errorf("%w: %s %s", payment.ErrUnreadable, e.Type, e.ID)
	}
	line.At = time.Unix(e.Created, 0)
	return line, nil
}

func (s *Stripe) lineOfCharge(e *stripe.Event) (payment.Line, error) {
	var pi stripe.PaymentIntent
	if err := json.Unmarshal(e.Data.Raw, &pi); err != nil || pi.Object != "payment_intent" || pi.ID == "" {
		return payment.Line{}, cmp.Or(err, errUnfit)
	}
	if pi.Metadata[ofNamespace] != s.namespace {
		return payment.Line{}, nil
	}
	line := payment.Line{ID: pi.ID, Key: pi.Metadata[ofKey], OrderID: pi.Metadata[ofOrder]}
	amount := pi.Amount
	switch _, why := read(&pi); e.Type {
	case stripe.EventTypePaymentIntentSucceeded:
		line.Verdict, amount = payment.Charged, pi.AmountReceived
	case stripe.EventTypePaymentIntentPaymentFailed: // it can be confirmed again until it is canceled, see outcome
		line.Verdict, line.Reason = payment.Absent, why
	default:
		line.Verdict, line.Reason = payment.Rejected, cmp.Or(why, "canceled")
	}
	var ok bool
	if line.AmountMinor, line.Currency, ok = fromStripe(amount, pi.Currency); !ok {
		return payment.Line{}, errUnfit
	}
	return line, nil
}

func (s *Stripe) lineOfRefund(r *stripe.Refund) (payment.Line, error) {
	if r.Object != "refund" || r.ID == "" {
		return payment.Line{}, errUnfit
	}
	if r.Status == stripe.RefundStatusFailed || r.Status == stripe.RefundStatusCanceled {
		return s.lineOfFailure(r)
	}
	if r.Metadata[ofNamespace] != s.namespace || r.Status != stripe.RefundStatusSucceeded {
		return payment.Line{}, nil
	}
	minor, iso, ok := fromStripe(r.Amount, r.Currency)
	if !ok || r.PaymentIntent == nil {
		return payment.Line{}, errUnfit
	}
	return payment.Line{
		Verdict: payment.GivenBack, ID: r.ID, Key: r.Metadata[ofKey], OrderID: r.Metadata[ofOrder], ChargeID: r.PaymentIntent.ID,
		AmountMinor: minor, Currency: iso,
	}, nil
}
