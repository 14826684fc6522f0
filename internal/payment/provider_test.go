package payment_test

import (
	"context"
	"errors"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
)

// between is a provider that calls before and after each call of the real one.
type between struct {
	payment.Provider
	before, after func(call string)
}

func (b between) do(call string, f func(context.Context, payment.Intent) (payment.Outcome, error), ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	if b.before != nil {
		b.before(call)
	}
	o, err := f(ctx, in)
	if b.after != nil {
		b.after(call)
	}
	return o, err
}

func (b between) Charge(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	return b.do("charge", b.Provider.Charge, ctx, in)
}

func (b between) Refund(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	return b.do("refund", b.Provider.Refund, ctx, in)
}

func (b between) Lookup(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	return b.do("lookup", b.Provider.Lookup, ctx, in)
}

func (b between) Close(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	return b.do("close", b.Provider.Close, ctx, in)
}

// deaf is a provider that cannot be asked what became of a charge.
type deaf struct{ payment.Provider }

func (deaf) Lookup(context.Context, payment.Intent) (payment.Outcome, error) {
	return payment.Outcome{}, errors.New("deaf")
}

// stuck is a provider that charges have not reached when their sender gives up.
type stuck struct{ payment.Provider }

func (stuck) Charge(context.Context, payment.Intent) (payment.Outcome, error) {
	return payment.Outcome{}, context.DeadlineExceeded
}

// attempt leaves a payment that was asked for once, with nobody knowing the outcome.
func (w *world) attempt(p purchase, by payment.Provider) {
	w.Helper()
	service, _, stop := w.charger(deaf{by})
	w.hear(service.Charge, p.fact(event.OrderCreated))
	w.reach(p.id, payment.Unknown)
	stop()
}
