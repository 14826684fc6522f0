package stripe

import (
	"cmp"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// lineOfFailure is a refund that has failed. It need not be ours by its metadata: one that was made by hand may be what a payment of
// ours counts on. Whose it is, its charge says.
func (s *Stripe) lineOfFailure(r *stripe.Refund) (payment.Line, error) {
	of := r.Metadata[ofNamespace]
	if r.PaymentIntent == nil || of != "" && of != s.namespace {
		return payment.Line{}, nil
	}
	minor, iso, ok := fromStripe(r.Amount, r.Currency)
	if !ok {
		return payment.Line{}, errUnfit
	}
	line := payment.Line{
		Verdict: payment.RefundFailed, ID: r.ID, ChargeID: r.PaymentIntent.ID, Reason: cmp.Or(string(r.FailureReason), string(r.Status)),
		AmountMinor: minor, Currency: iso,
	}
	if of == s.namespace {
		line.Key, line.OrderID = r.Metadata[ofKey], r.Metadata[ofOrder]
	}
	return line, nil
}

// lineOfDispute is how a dispute stands. Whose it is, its charge says; one of a charge without a PaymentIntent is none of ours.
func (s *Stripe) lineOfDispute(d *stripe.Dispute) (payment.Line, error) {
	if d.Object != "dispute" || d.ID == "" || d.Status == "" {
		return payment.Line{}, errUnfit
	}
	if d.PaymentIntent == nil {
		return payment.Line{}, nil
	}
	minor, iso, ok := fromStripe(d.Amount, d.Currency)
	if !ok {
		return payment.Line{}, errUnfit
	}
	return payment.Line{
		Verdict: payment.Disputed, ID: d.ID, ChargeID: d.PaymentIntent.ID, Reason: string(d.Reason), AmountMinor: minor, Currency: iso,
		Dispute: payment.Dispute{Status: string(d.Status), Over: isOver(d.Status), Funds: fundsOf(d)},
	}, nil
}

// isOver says whether nothing can become of a dispute any more.
func isOver(s stripe.DisputeStatus) bool {
	switch s {
	case stripe.DisputeStatusWon, stripe.DisputeStatusLost, stripe.DisputeStatusWarningClosed, stripe.DisputeStatusPrevented:
		return true
	}
	return false
}

// fundsOf says where the money of a disputed charge is: Stripe shows one balance transaction when it has withdrawn it, and a second one
// when it has reinstated it.
func fundsOf(d *stripe.Dispute) string {
	switch len(d.BalanceTransactions) {
	case 0:
		return payment.FundsKept
	case 1:
		return payment.FundsWithdrawn
	}
	return payment.FundsReinstated
}
