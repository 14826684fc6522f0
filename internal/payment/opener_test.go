package payment_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// opening is the sandbox with charges that are opened first: each time under another id, as by a provider that remembers no keys. It
// charges only what was committed to have been opened.
type opening struct {
	between
	db *postgres.DB
}

func (o opening) Open(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	return o.do("open", func(context.Context, payment.Intent) (payment.Outcome, error) {
		if in.Terms.PaymentMethod == "pm_none" {
			return payment.Outcome{Verdict: payment.Rejected, Reason: "no_such_method"}, nil
		}
		return payment.Outcome{Verdict: payment.Opened, ChargeID: "pi_" + uuid.NewString()}, nil
	}, ctx, in)
}

func (o opening) Charge(ctx context.Context, in payment.Intent) (payment.Outcome, error) {
	var kept string
	err := o.db.QueryRow(ctx, `SELECT coalesce(opened_as, 'nothing') FROM payment.payments WHERE order_id = $1`, in.OrderID).Scan(&kept)
	if err != nil || kept != in.OpenedAs {
		return payment.Outcome{}, errors.Join(err, errors.New("charged as "+in.OpenedAs+" and committed as "+kept))
	}
	return o.between.Charge(ctx, in)
}

// What is opened first is charged once, under an id that was committed before, whoever dies wherever.
func TestOpenedBeforeCharged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	o := opening{between{Provider: w.provider}, w.env.DB}
	for _, c := range []struct {
		method string
		dies   []string
		state  payment.State
		said   string
		money  money
	}{
		{"pm_ok", nil, payment.Success, "processed", paid},
		{"pm_none", nil, payment.Declined, "failed", nothing},
		{"pm_ok", []string{"after open", "after charge"}, payment.Success, "processed", paid},
		{"pm_declined", []string{"before charge"}, payment.Declined, "failed", nothing},
	} {
		p := buy(c.method)
		w.hear(w.idle().Charge, p.fact(event.OrderCreated))
		for _, at := range c.dies {
			w.dies("opening " + at)
		}
		_, _, stop := w.charger(o) // whose own lease is long: a machine that is busy is not late
		w.reach(p.id, c.state)
		stop()
		w.expect(p, c.state, c.said, c.money)
	}
}

// A charger that was asleep while another opened the charge too does not charge what it has opened itself.
func TestStaleOpenerIsFenced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := newGate()
	short := func(o *payment.ChargerOptions) { o.Lease = crashLease }
	var stale atomic.Int64
	count := func(call string) {
		if call == "charge" {
			stale.Add(1)
		}
	}
	service, _, stop := w.charger(opening{between{w.provider, count, g.hold("open")}, w.env.DB}, short)
	p := buy("pm_ok")
	w.hear(service.Charge, p.fact(event.OrderCreated))
	<-g.reached
	w.charger(opening{between{Provider: w.provider}, w.env.DB}) // with a lease that a busy machine keeps
	w.reach(p.id, payment.Success)
	close(g.open)
	stop()
	w.expect(p, payment.Success, "processed", paid)
	if n := stale.Load(); n != 0 {
		t.Errorf("it charged %d times", n)
	}
}
