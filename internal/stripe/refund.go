package stripe

import (
	"context"
	"errors"
	"fmt"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// mostFailed is after how many refunds that Stripe has made and that failed later none is made any more, unless an operator insists.
const mostFailed = 3

// Refund gives the money back, unless that was done: by us under a key that Stripe has forgotten by now, or by somebody else. One that
// has failed before it succeeded is made again.
func (s *Stripe) Refund(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	outcome, err := s.refund(ctx, in)
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("refund order %s: %w", in.OrderID, err)
	}
	return outcome, nil
}

func (s *Stripe) refund(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	made, failed, err := s.refundOf(ctx, in)
	if err != nil || made != nil && rank(made) > 0 {
		return givenBack(made, in, err)
	}
	if failed > mostFailed && !in.Insist {
		return payment.Outcome{}, payment.ErrRefundFailed
	}
	amount, ok := toStripe(in.Terms.TotalMinor, in.Terms.Currency)
	if !ok {
		return payment.Outcome{}, errUnfit
	}
	params := &stripe.RefundCreateParams{PaymentIntent: &in.ChargeID, Amount: &amount, Metadata: s.metadata(in, in.RefundKey)}
	in.ErrorAnswers += failed
	params.SetIdempotencyKey(in.KeyOf(in.RefundKey))
	made, err = s.api.V1Refunds.Create(ctx, params)
	if err != nil {
		return payment.Outcome{}, told(err)
	}
	if !givesAllBack(made, in) {
		return payment.Outcome{}, errUnfit
	}
	return givenBack(made, in, nil)
}

// givenBack is what a refund of all the money has come to.
func givenBack(r *stripe.Refund, in payment.Intent, err error) (payment.Outcome, error) {
	switch {
	case err != nil:
		return payment.Outcome{}, err
	case r.Status == stripe.RefundStatusSucceeded:
		return payment.Outcome{Verdict: payment.GivenBack, ChargeID: in.ChargeID, RefundID: r.ID}, nil
	case r.Status == stripe.RefundStatusPending, r.Status == stripe.RefundStatusRequiresAction:
		return payment.Outcome{}, errAtIt
	}
	return payment.Outcome{}, errFailed
}

// errFailed is not ErrRefundFailed: another one is made next.
var errFailed = errors.New("the refund has failed")

// charged is the outcome of a charge that was made: it may have been given back since.
func (s *Stripe) charged(ctx context.Context, pi *stripe.PaymentIntent, in payment.Intent) (payment.Outcome, error) {
	in.ChargeID = pi.ID
	outcome := payment.Outcome{Verdict: payment.Charged, ChargeID: pi.ID}
	if pi.LatestCharge == nil || pi.LatestCharge.AmountRefunded == 0 {
		return outcome, nil
	}
	made, _, err := s.refundOf(ctx, in)
	if err != nil {
		return payment.Outcome{}, fmt.Errorf("look up the refund of order %s: %w", in.OrderID, err)
	}
	if made != nil && made.Status == stripe.RefundStatusSucceeded {
		outcome.Verdict, outcome.RefundID = payment.GivenBack, made.ID
	}
	return outcome, nil
}

// refundOf returns the refund of all of a charge, nil if there is none: one that was made or is being made rather than one that has
// failed; and how many have failed.
func (s *Stripe) refundOf(ctx context.Context, in payment.Intent) (best *stripe.Refund, failed int, err error) {
	params := &stripe.RefundListParams{PaymentIntent: &in.ChargeID}
	params.Limit, params.Single = stripe.Int64(100), true
	list := s.api.V1Refunds.List(ctx, params)
	if list.Err() != nil {
		return nil, 0, told(list.Err())
	}
	for _, r := range list.Data() {
		if r.PaymentIntent == nil || r.PaymentIntent.ID != in.ChargeID {
			return nil, 0, errUnfit // it was not asked for this
		}
		if givesAllBack(r, in) && rank(r) == 0 {
			failed++
		}
		if givesAllBack(r, in) && (best == nil || rank(r) > rank(best)) {
			best = r
		}
	}
	return best, failed, nil
}

func rank(r *stripe.Refund) int {
	switch r.Status {
	case stripe.RefundStatusSucceeded:
		return 2
	case stripe.RefundStatusPending, stripe.RefundStatusRequiresAction:
		return 1
	}
	return 0
}

func givesAllBack(r *stripe.Refund, in payment.Intent) bool {
	minor, iso, ok := fromStripe(r.Amount, r.Currency)
	return ok && r.Object == "refund" && r.ID != "" && r.PaymentIntent != nil && r.PaymentIntent.ID == in.ChargeID &&
		minor == in.Terms.TotalMinor && iso == in.Terms.Currency
}
