package stripe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// methods are the sandbox's payment methods in Stripe's test mode. All others are Stripe's own, and passed on as they are.
var methods = map[string]string{
	"pm_ok": "pm_card_visa", "pm_declined": "pm_card_chargeDeclined", "pm_insufficient_funds": "pm_card_chargeDeclinedInsufficientFunds",
}

func (s *Stripe) method(name string) string {
	if s.test {
		return cmp.Or(methods[name], name)
	}
	return name
}

// Open makes a PaymentIntent that nobody has confirmed.
func (s *Stripe) Open(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	amount, ok := toStripe(in.Terms.TotalMinor, in.Terms.Currency)
	if !ok {
		return payment.Outcome{Verdict: payment.Rejected, Reason: "amount_not_sayable"}, nil
	}
	params := &stripe.PaymentIntentCreateParams{
		Amount: &amount, Currency: stripe.String(strings.ToLower(in.Terms.Currency)), Metadata: s.metadata(in, in.ChargeKey),
		AutomaticPaymentMethods: &stripe.PaymentIntentCreateAutomaticPaymentMethodsParams{
			Enabled: stripe.Bool(true), AllowRedirects: stripe.String(string(stripe.PaymentIntentAutomaticPaymentMethodsAllowRedirectsNever)),
		},
	}
	params.SetIdempotencyKey(in.KeyOf(in.ChargeKey)) // nothing is charged by it, whatever the key
	pi, err := s.api.V1PaymentIntents.Create(ctx, params)
	if why := refused(err); why != "" {
		return payment.Outcome{Verdict: payment.Rejected, Reason: why}, nil
	}
	if err == nil && !s.fits(pi, "", in) {
		err = errUnfit
	}
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("open the charge of order %s: %w", in.OrderID, told(err))
	}
	return payment.Outcome{Verdict: payment.Opened, ChargeID: pi.ID}, nil
}

// Charge confirms what was opened. Stripe executes that once per key, and lets it succeed once whatever the key: so another key is safe
// after an answer that was an error, which Stripe would give again under the same.
func (s *Stripe) Charge(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	if in.OpenedAs == "" {
		return payment.Outcome{}, fmt.Errorf("charge order %s: %w", in.OrderID, errNotOpened)
	}
	if err := in.InTime(); err != nil {
		return payment.Outcome{}, fmt.Errorf("charge order %s: %w", in.OrderID, err)
	}
	params := &stripe.PaymentIntentConfirmParams{
		PaymentMethod: stripe.String(s.method(in.Terms.PaymentMethod)), ErrorOnRequiresAction: stripe.Bool(true),
	}
	params.SetIdempotencyKey(in.KeyOf("confirm-" + in.OpenedAs))
	pi, err := s.api.V1PaymentIntents.Confirm(ctx, in.OpenedAs, params)
	if isCard(err) || isCode(err, stripe.ErrorCodePaymentIntentUnexpectedState) { // what has come of it, it says itself
		return s.Lookup(ctx, in)
	}
	if why := refused(err); why != "" {
		return s.end(ctx, in, why)
	}
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("charge order %s: %w", in.OrderID, told(err))
	}
	return s.outcome(ctx, pi, in)
}

// Lookup asks what became of the PaymentIntent. What was never opened was never charged.
func (s *Stripe) Lookup(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	id := cmp.Or(in.ChargeID, in.OpenedAs)
	if id == "" {
		return payment.Outcome{Verdict: payment.Absent}, nil
	}
	pi, err := s.retrieve(ctx, id)
	if isCode(err, stripe.ErrorCodeResourceMissing) {
		return payment.Outcome{Verdict: payment.Absent}, nil
	}
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("look up order %s: %w", in.OrderID, told(err))
	}
	return s.outcome(ctx, pi, in)
}

// Close cancels the PaymentIntent. One that was never opened cannot be confirmed: its id would have to be committed first.
func (s *Stripe) Close(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	if in.OpenedAs == "" {
		return payment.Outcome{Verdict: payment.Closed}, nil
	}
	pi, err := s.cancel(ctx, in.OpenedAs, stripe.PaymentIntentCancellationReasonRequestedByCustomer)
	if isCode(err, stripe.ErrorCodePaymentIntentUnexpectedState) { // it is over, or Stripe is at it
		pi, err = s.retrieve(ctx, in.OpenedAs)
	}
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("close order %s: %w", in.OrderID, told(err))
	}
	if is, _ := read(pi); is != over && is != charged {
		return payment.Outcome{}, fmt.Errorf("close order %s: %w", in.OrderID, errAtIt)
	}
	return s.outcome(ctx, pi, in)
}

// outcome is what a PaymentIntent has come to. What was declined is cancelled first: until then somebody could confirm it again.
func (s *Stripe) outcome(ctx context.Context, pi *stripe.PaymentIntent, in payment.Intent) (payment.Outcome, error) {
	is, why := read(pi)
	switch fits := s.fits(pi, cmp.Or(in.ChargeID, in.OpenedAs), in); {
	case !fits, is == strange:
		return payment.Outcome{}, fmt.Errorf("order %s: %w", in.OrderID, errUnfit)
	case is == charged:
		return s.charged(ctx, pi, in)
	case is == over:
		return nothingCharged(why), nil
	case is == declined:
		in.OpenedAs = pi.ID
		return s.end(ctx, in, why)
	case is == open:
		return payment.Outcome{Verdict: payment.Absent}, nil
	}
	return payment.Outcome{}, fmt.Errorf("order %s: %w", in.OrderID, errAtIt)
}

// end cancels what was declined, so that it stays declined.
func (s *Stripe) end(ctx context.Context, in payment.Intent, why string) (payment.Outcome, error) {
	pi, err := s.cancel(ctx, in.OpenedAs, stripe.PaymentIntentCancellationReasonAbandoned)
	if err == nil {
		if is, _ := read(pi); is != over || !s.fits(pi, in.OpenedAs, in) {
			err = errUnfit
		}
	}
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("end the declined charge of order %s: %w", in.OrderID, told(err))
	}
	return nothingCharged(why), nil
}

func (s *Stripe) retrieve(ctx context.Context, id string) (*stripe.PaymentIntent, error) {
	return s.api.V1PaymentIntents.Retrieve(ctx, id, &stripe.PaymentIntentRetrieveParams{Expand: []*string{stripe.String("latest_charge")}})
}

func (s *Stripe) cancel(ctx context.Context, id string, why stripe.PaymentIntentCancellationReason) (*stripe.PaymentIntent, error) {
	return s.api.V1PaymentIntents.Cancel(ctx, id, &stripe.PaymentIntentCancelParams{CancellationReason: stripe.String(string(why))})
}

func isCard(err error) bool {
	var answered *stripe.Error
	return errors.As(err, &answered) && answered.Type == stripe.ErrorTypeCard
}
