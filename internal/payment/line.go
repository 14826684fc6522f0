package payment

import (
	"slices"
	"time"
)

// Line is one line of a provider's own books: a charge or a refund, whoever asked for it. One without a Verdict is of something else.
type Line struct {
	// Charged, Rejected or GivenBack; Absent: an attempt has failed, and the provider is to be asked what that means; RefundFailed or
	// Disputed: what befell a refund or a charge later.
	Verdict     Verdict
	ID          string // the provider's, of the charge or refund
	Key         string // under which it was asked for
	OrderID     string // as the provider was told it; anything, if it was not us who told it
	ChargeID    string // with GivenBack and RefundFailed: what it gives back; with Disputed: what is disputed
	Reason      string // with Rejected, RefundFailed and Disputed
	AmountMinor int64
	Currency    string
	Dispute     Dispute   // with Disputed: how it stands
	At          time.Time // on the provider's clock
	Account     Account   // whose books they are
	Mark        string    // where its list is to be read on from after it; "" if it is from elsewhere
}

// sense is what a line is beside our books.
type sense int

const (
	known   sense = iota // it says what we know, or what whoever is at it is about to hear
	news                 // it ends what we do not know
	stray                // money of ours that our books do not know of and do not ask for
	wrong                // it has our key and another amount or currency
	foreign              // it is not of our doing
)

// read says what a line is to the payment of its order, nil if there is none, and what the payment has to hear if it is news.
func (p *Payment) read(l Line) (sense, Outcome) {
	switch {
	case p == nil:
		return foreign, Outcome{}
	case l.Verdict == GivenBack:
		return p.readRefund(l)
	case l.Verdict == Absent:
		return known, Outcome{}
	case l.Key != chargeKey(p.OrderID):
		return foreign, Outcome{}
	case p.elsewhere(l) && l.Verdict != Charged: // it moved nothing, and says nothing of the account that was asked
		return known, Outcome{}
	case l.AmountMinor != p.Terms.TotalMinor || l.Currency != p.Terms.Currency:
		return wrong, Outcome{}
	case l.ID == p.ChargeID, p.ChargeID == outsideCharge(p.OrderID) && !p.elsewhere(l): // of which a person knew
		return known, Outcome{}
	case p.elsewhere(l):
		return stray, Outcome{}
	case p.OpenedAs != "" && l.ID != p.OpenedAs: // opened under our key and then left alone: not ours to charge, but somebody has or has not
		if l.Verdict == Charged {
			return stray, Outcome{}
		}
		return known, Outcome{}
	case p.State == Pending && !p.Attempted: // asked for again under its key it will say the same
		return known, Outcome{}
	case p.State == Pending || p.State == Unknown:
		return news, Outcome{Verdict: l.Verdict, ChargeID: l.ID, Reason: l.Reason}
	case l.Verdict == Charged:
		return stray, Outcome{}
	}
	return known, Outcome{} // a decline moves nothing
}

// elsewhere says whether a line is of another account than the one at which the payment was asked for.
func (p *Payment) elsewhere(l Line) bool { return !p.Account.none() && p.Account != l.Account }

func (p *Payment) readRefund(l Line) (sense, Outcome) {
	switch {
	case l.Key != refundKey(p.OrderID):
		return foreign, Outcome{}
	case p.elsewhere(l):
		return wrong, Outcome{}
	case l.AmountMinor != p.Terms.TotalMinor || l.Currency != p.Terms.Currency:
		return wrong, Outcome{}
	case l.ID == p.RefundID, slices.Contains(p.FailedRefunds, l.ID): // that it has failed was told before that it was made
		return known, Outcome{}
	case p.State == Refunding && l.ChargeID == p.ChargeID && p.Tries == 0: // asked for under its key it will say the same
		return known, Outcome{}
	case p.State == Refunding && l.ChargeID == p.ChargeID:
		return news, Outcome{Verdict: GivenBack, ChargeID: l.ChargeID, RefundID: l.ID}
	}
	return wrong, Outcome{} // nobody of us asked for it
}
