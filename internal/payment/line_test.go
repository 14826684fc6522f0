package payment

import (
	"testing"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// A line of the provider's books is news only where it ends what we do not know; whatever has another order, key, amount or
// currency is never taken.
func TestLinesBesidePayments(t *testing.T) {
	t.Parallel()
	order := uuid.New()
	at := func(state State, change ...func(*Payment)) *Payment {
		p := &Payment{OrderID: order, State: state, Terms: event.Terms{TotalMinor: 1275, Currency: "GBP"}, Attempted: true, Tries: 1}
		if state == Success || state == Refunding || state == Refunded {
			p.ChargeID = "ch_1"
		}
		if state == Refunded {
			p.RefundID = "re_1"
		}
		for _, c := range change {
			c(p)
		}
		return p
	}
	charge := Line{Verdict: Charged, ID: "ch_1", Key: chargeKey(order), OrderID: order.String(), AmountMinor: 1275, Currency: "GBP"}
	refund := Line{Verdict: GivenBack, ID: "re_1", ChargeID: "ch_1", Key: refundKey(order), OrderID: order.String(), AmountMinor: 1275, Currency: "GBP"}
	with := func(l Line, change func(*Line)) Line { change(&l); return l }
	no := with(charge, func(l *Line) { l.Verdict, l.Reason = Rejected, "card_declined" })
	for name, c := range map[string]struct {
		p    *Payment
		line Line
		want sense
	}{
		"a charge that is asked for":           {at(Pending), charge, news},
		"a charge of unknown outcome":          {at(Unknown), charge, news},
		"a decline of unknown outcome":         {at(Unknown), no, news},
		"before anybody asked":                 {at(Pending, func(p *Payment) { p.Attempted = false }), charge, known},
		"a charge once more":                   {at(Success), charge, known},
		"a charge of what was given back":      {at(Refunded), charge, known},
		"a second charge":                      {at(Success), with(charge, func(l *Line) { l.ID = "ch_2" }), stray},
		"a charge of what was voided":          {at(Voided), charge, stray},
		"a charge of what was declined":        {at(Declined), charge, stray},
		"a decline once more":                  {at(Declined), no, known},
		"a decline of what was voided":         {at(Voided), no, known},
		"a charge that was opened":             {at(Unknown, func(p *Payment) { p.OpenedAs = "ch_1" }), charge, news},
		"one opened for it and left alone":     {at(Unknown, func(p *Payment) { p.OpenedAs = "ch_2" }), no, known},
		"the same, charged by somebody":        {at(Unknown, func(p *Payment) { p.OpenedAs = "ch_2" }), charge, stray},
		"another amount":                       {at(Pending), with(charge, func(l *Line) { l.AmountMinor++ }), wrong},
		"another currency":                     {at(Unknown), with(charge, func(l *Line) { l.Currency = "EUR" }), wrong},
		"another key":                          {at(Unknown), with(charge, func(l *Line) { l.Key = "charge-" + uuid.NewString() }), foreign},
		"no payment":                           {nil, charge, foreign},
		"a refund that is asked for":           {at(Refunding), refund, news},
		"a refund before anybody asked":        {at(Refunding, func(p *Payment) { p.Tries = 0 }), refund, known},
		"a refund once more":                   {at(Refunded), refund, known},
		"a refund of another charge":           {at(Refunding), with(refund, func(l *Line) { l.ChargeID = "ch_2" }), wrong},
		"a refund that nobody asked for":       {at(Success), refund, wrong},
		"a refund of unknown outcome's charge": {at(Unknown), refund, wrong},
		"a refund of another amount":           {at(Refunding), with(refund, func(l *Line) { l.AmountMinor = 1 }), wrong},
		"a refund under another key":           {at(Refunding), with(refund, func(l *Line) { l.Key = "by hand" }), foreign},
		"a refund, and no payment":             {nil, refund, foreign},
	} {
		got, outcome := c.p.read(c.line)
		if got != c.want || (got == news) != (outcome.Verdict == c.line.Verdict) {
			t.Errorf("%s: %d with %+v, want %d", name, got, outcome, c.want)
		}
	}
}
