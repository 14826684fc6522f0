package payment

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// State is where the money of an order is.
type State string

// The states. Pending, Unknown and Refunding are under way; of the others only Success can still move, to be given back.
const (
	Pending   State = "PENDING"   // to be charged; maybe asked for already
	Unknown   State = "UNKNOWN"   // asked for, and the answer was lost
	Success   State = "SUCCESS"   // the money is ours
	Declined  State = "DECLINED"  // the provider said no
	Refunding State = "REFUNDING" // charged, and to be given back
	Refunded  State = "REFUNDED"  // charged and given back
	Voided    State = "VOIDED"    // never charged, and never will be
)

// UnderWay says whether there is something left to do.
func (s State) UnderWay() bool { return s == Pending || s == Unknown || s == Refunding }

// Cause is a fact that made something happen, with the trace that it belongs to.
type Cause struct {
	Fact        uuid.UUID
	TraceParent string
}

func causeOf(f event.Fact) Cause { return Cause{f.ID, f.TraceParent} }

// Payment is the money of one order. Its methods are its rules: each moves it by one thing that was heard and gives the name
// of the fact to say, or "".
type Payment struct {
	OrderID   uuid.UUID
	State     State
	Strategy  string
	Terms     event.Terms
	OpenedAs  string // the provider's id of the charge that was opened; "" where none is opened first
	ChargeID  string
	RefundID  string
	Reason    string  // why it was declined
	Cause     Cause   // the fact that made it
	Undo      Cause   // the fact that wants it given back; zero while none does
	Attempted bool    // the provider may have been asked for the charge
	Account   Account // at which it was first asked for; zero before that
	Tries     int     // times it was taken up for what is to be done now

	FailedRefunds []string // the provider's ids of refunds of it that have failed, whatever they counted as before
	Reversals     int      // how many of these had counted as made

	ErrorAnswers int    // answers of the provider about it that were errors
	LastError    string // why the outcome was not learnt when the provider was last asked; "" once it is known
}

// wanted is a payment that f wants charged. An order of nothing is paid at once.
func wanted(f event.Fact, terms event.Terms) (Payment, event.Name, error) {
	if terms.TotalMinor < 0 || !isCurrency(terms.Currency) || terms.PaymentMethod == "" {
		return Payment{}, "", fmt.Errorf("terms of %s %s cannot be charged: %d %q by %q",
			f.Name, f.ID, terms.TotalMinor, terms.Currency, terms.PaymentMethod)
	}
	p := Payment{OrderID: f.OrderID, State: Pending, Strategy: f.Strategy, Terms: terms, Cause: causeOf(f)}
	if terms.TotalMinor == 0 {
		p.State = Success
		return p, event.PaymentProcessed, nil
	}
	return p, "", nil
}

// tombstone is a payment that f wants given back before anybody wanted it charged.
func tombstone(f event.Fact, terms event.Terms) (Payment, event.Name) {
	terms.TotalMinor = max(terms.TotalMinor, 0)
	return Payment{
		OrderID: f.OrderID, State: Voided, Strategy: f.Strategy, Terms: terms, Cause: causeOf(f), Undo: causeOf(f),
	}, event.PaymentVoided
}

func isCurrency(s string) bool {
	for _, c := range s {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(s) == 3
}

// Undone says whether it is to be given back, or was.
func (p *Payment) Undone() bool { return p.Undo.Fact != uuid.Nil }

// GiveBack hears that the order wants nothing of it any more.
func (p *Payment) GiveBack(by Cause) event.Name {
	if p.Undone() || p.State == Declined {
		return ""
	}
	p.Undo = by
	switch {
	case p.State == Pending && !p.Attempted, p.State == Success && p.Terms.TotalMinor == 0:
		p.State = Voided
		return event.PaymentVoided
	case p.State == Success:
		p.State, p.Tries = Refunding, 0
	}
	return ""
}

// Hear applies a provider's answer. One that does not fit changes nothing.
func (p *Payment) Hear(o Outcome) event.Name {
	switch p.State {
	case Pending, Unknown:
		return p.hearOfCharge(o)
	case Refunding:
		if (o.Verdict == GivenBack || o.Verdict == SettledOutside) && o.ChargeID == p.ChargeID {
			p.State, p.RefundID = Refunded, o.RefundID
			if p.Reversals > 0 { // it was said when it was given back first, and the order has ended by it
				return ""
			}
			return event.PaymentRefunded
		}
	}
	return ""
}

func (p *Payment) hearOfCharge(o Outcome) event.Name {
	switch {
	case p.Undone() && (o.Verdict == Charged || o.Verdict == GivenBack): // given back under its key, which says so again if it was
		p.State, p.ChargeID, p.Tries = Refunding, o.ChargeID, 0
		return ""
	case p.Undone() && (o.Verdict == Rejected || o.Verdict == Closed):
		p.State, p.Reason = Voided, o.Reason
		return event.PaymentVoided
	case p.Undone() && o.Verdict == SettledOutside: // a person knows of both
		p.State, p.ChargeID, p.RefundID = Refunded, o.ChargeID, o.RefundID
		return event.PaymentRefunded
	case o.Verdict == Charged:
		p.State, p.ChargeID = Success, o.ChargeID
		return event.PaymentProcessed
	case o.Verdict == Rejected:
		p.State, p.Reason = Declined, o.Reason
		return event.PaymentFailed
	case o.Verdict == Closed: // by hand, at the provider: nothing was charged, and nothing can be
		p.State, p.Reason = Declined, string(Closed)
		return event.PaymentFailed
	}
	return p.Lose()
}

// Lose notes that an answer was lost, or was none.
func (p *Payment) Lose() event.Name {
	if p.State != Pending {
		return ""
	}
	p.State = Unknown
	return event.PaymentUnknown
}

// fact is what it says of itself under that name.
func (p *Payment) fact(name event.Name) event.Fact {
	cause := p.Cause
	if name == event.PaymentVoided || name == event.PaymentRefunded {
		cause = p.Undo
	}
	heard := event.Fact{ID: cause.Fact, Strategy: p.Strategy, OrderID: p.OrderID, TraceParent: cause.TraceParent}
	return heard.Answer(name, event.Payment{ChargeID: p.ChargeID, RefundID: p.RefundID, Reason: p.Reason, Terms: p.Terms})
}

// intent is what the provider is asked about it. The keys follow from the order, so that no order can have two charges.
func (p *Payment) intent() Intent {
	return Intent{
		OrderID: p.OrderID, ChargeKey: chargeKey(p.OrderID), RefundKey: refundKey(p.OrderID), OpenedAs: p.OpenedAs, ChargeID: p.ChargeID, Terms: p.Terms,
		ErrorAnswers: p.ErrorAnswers,
	}
}

func chargeKey(order uuid.UUID) string { return "charge-" + order.String() }
func refundKey(order uuid.UUID) string { return "refund-" + order.String() }
