package stripe

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/stripe/stripe-go/v85"

	"github.com/holdfast-checkout/holdfast/internal/payment"
)

const (
	madeBefore = 24 * time.Hour // how long before its transfer a charge or refund may have been made
	madeAfter  = time.Hour      // and after it, by another clock
)

// Find looks in Stripe's lists of what was made about the time of our transfers. What is older than that, it misses.
func (s *Stripe) Find(ctx context.Context, lines []payment.Line) (map[string]bool, error) {
	there := map[string]bool{}
	for _, verdict := range []payment.Verdict{payment.Charged, payment.GivenBack} {
		wanted, made := wantedOf(lines, verdict)
		if len(wanted) == 0 {
			continue
		}
		for id, err := range s.made(ctx, verdict, made) {
			if err != nil {
				return nil, fmt.Errorf("find %d in Stripe's lists: %w", len(wanted), told(err))
			}
			if wanted[id] {
				there[id] = true
				if delete(wanted, id); len(wanted) == 0 {
					break
				}
			}
		}
	}
	return there, nil
}

// wantedOf gives the ids of charges or of refunds, and when they can have been made.
func wantedOf(lines []payment.Line, verdict payment.Verdict) (map[string]bool, *stripe.RangeQueryParams) {
	wanted, made := map[string]bool{}, &stripe.RangeQueryParams{}
	for _, l := range lines {
		if l.Verdict != verdict {
			continue
		}
		wanted[l.ID] = true
		from, to := l.At.Add(-madeBefore).Unix(), l.At.Add(madeAfter).Unix()
		if made.GreaterThanOrEqual == 0 || from < made.GreaterThanOrEqual {
			made.GreaterThanOrEqual = from
		}
		made.LesserThanOrEqual = max(made.LesserThanOrEqual, to)
	}
	return wanted, made
}

// made gives the ids of what was charged, or given back, of what was made within a span of time.
func (s *Stripe) made(ctx context.Context, verdict payment.Verdict, within *stripe.RangeQueryParams) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if verdict == payment.Charged {
			params := &stripe.PaymentIntentListParams{CreatedRange: within}
			params.Limit = stripe.Int64(100)
			for pi, err := range s.api.V1PaymentIntents.List(ctx, params).All(ctx) {
				if err != nil {
					yield("", err)
					return
				}
				if pi.Status == stripe.PaymentIntentStatusSucceeded && !yield(pi.ID, nil) {
					return
				}
			}
			return
		}
		params := &stripe.RefundListParams{CreatedRange: within}
		params.Limit = stripe.Int64(100)
		for r, err := range s.api.V1Refunds.List(ctx, params).All(ctx) {
			if err != nil {
				yield("", err)
				return
			}
			if r.Status == stripe.RefundStatusSucceeded && !yield(r.ID, nil) {
				return
			}
		}
	}
}
