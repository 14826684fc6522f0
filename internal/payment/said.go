package payment

import (
	"cmp"
	"context"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// What is true outside, by the word of the operator who settles a payment.
const (
	saidCharged    = "charged"     // the customer has paid
	saidNotCharged = "not_charged" // nothing was taken, and nothing will be
	saidRefunded   = "refunded"    // the customer has paid, and has the money back
)

// SettledOutside says that a person has given the money back by another way; no provider answers it.
const SettledOutside Verdict = "settled outside"

// outsideID stands for the provider's id of a refund that no provider has made.
func outsideID(order uuid.UUID) string { return "outside-" + order.String() }

// outsideCharge stands for the provider's id of a charge that a person knows of and of which no id is known.
func outsideCharge(order uuid.UUID) string { return "outside-charge-" + order.String() }

// settles is fits for a settlement. What is known to be so already is done.
func (a Act) settles(s Shown) (done bool, err error) {
	charged := s.State == Pending || s.State == Unknown
	switch {
	case a.Outcome == saidCharged && (s.State == Success || s.State == Refunding),
		a.Outcome == saidNotCharged && (s.State == Declined || s.State == Voided),
		a.Outcome == saidRefunded && s.State == Refunded && s.RefundID == outsideID(s.OrderID):
		return true, nil
	case charged && s.account().none():
		return false, fault.New(fault.Conflict, "It was asked for nowhere yet: it will be, or is VOIDED as soon as its order ends.")
	case charged && a.Outcome == saidRefunded && !s.GivingBack:
		return false, fault.New(fault.Conflict, "Its order still wants it: cancel that first, or say whether it was charged.")
	case charged, s.State == Refunding && a.Outcome == saidRefunded:
		return false, nil
	}
	return false, fault.New(fault.Conflict, "A payment that is %s cannot be settled as %s.", s.State, a.Outcome)
}

// settleSaid asks the provider first. What it says of a charge counts, and so does a refund that it has made: a person would give the
// money back twice.
func (c *cashier) settleSaid(ctx context.Context, task *row, act Act) (result, error) {
	outcome, err := c.through(ctx, "lookup", Provider.Lookup, task)
	switch {
	case err == nil && outcome.Verdict == GivenBack:
		task.act = nil
		return result{task, outcome, nil}, fault.New(fault.Conflict, "The provider has given the money back already, as %s.", outcome.RefundID)
	case err == nil && task.State != Refunding:
		task.act = nil
		return result{task, outcome, nil}, fault.New(fault.Conflict, "The provider can be asked, and says %s. Close or adopt the charge.", outcome.Verdict)
	case err != nil && !act.Unasked:
		task.act = nil
		return result{task, Outcome{}, err}, fault.New(fault.Conflict,
			"The provider cannot be asked (%s). Give unasked to settle nevertheless.", lastError(err)).Because(err)
	}
	return result{task, act.outcome(task), nil}, nil
}

// outcome is what the payment hears of a settlement.
func (a Act) outcome(p *row) Outcome {
	charge := cmp.Or(p.ChargeID, p.OpenedAs, outsideCharge(p.OrderID))
	switch a.Outcome {
	case saidCharged:
		return Outcome{Verdict: Charged, ChargeID: charge}
	case saidNotCharged:
		return Outcome{Verdict: Rejected, Reason: "not charged"}
	}
	return Outcome{Verdict: SettledOutside, ChargeID: charge, RefundID: outsideID(p.OrderID)}
}
