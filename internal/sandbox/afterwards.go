package sandbox

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// What a refund and a dispute can come to.
const (
	KindDispute = "dispute" // a customer has his bank take a charge back; each turn of it is an entry under its one id

	Failed        = "failed"         // of a refund that had succeeded: an entry of its own under the refund's id
	NeedsResponse = "needs_response" // of a dispute, as are the next three
	UnderReview   = "under_review"
	Won           = "won"
	Lost          = "lost"

	Withdrawn  = "withdrawn" // what a dispute did with the charge's money
	Reinstated = "reinstated"
)

var (
	errNoSuchRefund  = errors.New("there is no such refund, or it has failed already")
	errNoSuchDispute = errors.New("there is no such dispute, or it is over")
	errDisputed      = errors.New("the charge's money was withdrawn for a dispute")
	errNoSuchTurn    = errors.New("a dispute becomes under_review, won or lost")
)

// failRefund enters that a refund has failed though it had succeeded. Its money counts as not given back from here on.
func (b *books) failRefund(id, reason string) (*Entry, error) {
	b.mu.Lock()
	made := b.made[id]
	if made == nil || b.failed[id] != nil {
		b.mu.Unlock()
		return nil, errNoSuchRefund
	}
	failure := *made
	failure.Status, failure.Reason = Failed, reason
	e, err := b.add(failure)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return e, b.journal.flush(e.Seq)
}

// dispute enters that a charge is disputed: all of it, whose money is withdrawn.
func (b *books) dispute(chargeID, reason string) (*Entry, error) {
	b.mu.Lock()
	charge := b.byID[chargeID]
	if charge == nil || charge.Status != Succeeded {
		b.mu.Unlock()
		return nil, errNoSuchCharge
	}
	e, err := b.add(Entry{
		Kind: KindDispute, ID: newID("dp"), Key: charge.Key, OrderID: charge.OrderID, AmountMinor: charge.AmountMinor, Currency: charge.Currency,
		ChargeID: charge.ID, Status: NeedsResponse, Reason: reason, Funds: Withdrawn,
	})
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return e, b.journal.flush(e.Seq)
}

// turn enters what has become of a dispute. One that is won gives the money back.
func (b *books) turn(id, status string) (*Entry, error) {
	if status != UnderReview && status != Won && status != Lost {
		return nil, errNoSuchTurn
	}
	b.mu.Lock()
	last := b.disputes[id]
	if last == nil || last.Status == Won || last.Status == Lost {
		b.mu.Unlock()
		return nil, errNoSuchDispute
	}
	next := *last
	if next.Status = status; status == Won {
		next.Funds = Reinstated
	}
	e, err := b.add(next)
	b.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return e, b.journal.flush(e.Seq)
}

// disputed says whether a charge's money is withdrawn. The caller holds mu.
func (b *books) disputed(chargeID string) bool {
	for _, d := range b.disputes {
		if d.ChargeID == chargeID && d.Funds == Withdrawn {
			return true
		}
	}
	return false
}

// standing gives a charge's refunds as they stand now. The caller holds mu.
func (b *books) standing(chargeID string) []*Entry {
	refunds := []*Entry{}
	for _, e := range b.of[chargeID] {
		if failure := b.failed[e.ID]; failure != nil {
			e = failure
		}
		refunds = append(refunds, e)
	}
	return refunds
}

// afterwardsRoutes are those by which somebody has a refund fail and a charge disputed.
func (s *Server) afterwardsRoutes(mux *http.ServeMux) {
	reason := func(r *http.Request, otherwise string) string {
		if text := r.URL.Query().Get("reason"); validText(text) {
			return text
		}
		return otherwise
	}
	enter := func(does func(r *http.Request) (*Entry, error)) http.HandlerFunc {
		return s.allowed(func(w http.ResponseWriter, r *http.Request) {
			e, err := does(r)
			if err != nil {
				s.refuseFor(w, r, err)
				return
			}
			s.herald.tell(e)
			answer(w, http.StatusOK, e)
		})
	}
	mux.HandleFunc("POST /refunds/{id}/fail", enter(func(r *http.Request) (*Entry, error) {
		return s.books.failRefund(r.PathValue("id"), reason(r, "expired_or_canceled_card"))
	}))
	mux.HandleFunc("POST /charges/{id}/dispute", enter(func(r *http.Request) (*Entry, error) {
		return s.books.dispute(r.PathValue("id"), reason(r, "fraudulent"))
	}))
	mux.HandleFunc("POST /disputes/{id}/{turn}", enter(func(r *http.Request) (*Entry, error) {
		return s.books.turn(r.PathValue("id"), strings.ReplaceAll(r.PathValue("turn"), "-", "_"))
	}))
}

// afterwards has some refunds fail and some charges disputed, a while after they were answered. What is still to come is lost when the
// server ends.
func (s *Server) afterwards(ctx context.Context, e *Entry) {
	share, does := s.options.Faults.FailRefund, func() (*Entry, error) { return s.books.failRefund(e.ID, "expired_or_canceled_card") }
	if e.Kind == KindCharge {
		share, does = s.options.Faults.Dispute, func() (*Entry, error) { return s.books.dispute(e.ID, "fraudulent") }
	}
	if e.Status != Succeeded || s.troubles.chance("afterwards "+e.Key, 0).Float64() >= share || s.troubles.again("afterwards "+e.Key, 1) > 1 {
		return
	}
	s.later.Go(func() {
		turned := s.enterLater(ctx, does)
		if turned != nil && turned.Kind == KindDispute {
			end := []string{Won, Lost}[s.troubles.chance("afterwards "+e.Key, 1).IntN(2)]
			s.enterLater(ctx, func() (*Entry, error) { return s.books.turn(turned.ID, end) })
		}
	})
}

// enterLater waits, enters and has it told of; nil if it could not be.
func (s *Server) enterLater(ctx context.Context, does func() (*Entry, error)) *Entry {
	timer := time.NewTimer(s.options.AfterwardsBy)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil
	}
	e, err := does()
	if err != nil {
		s.options.Log.Warn("payment sandbox cannot have it fail afterwards", "err", err)
		return nil
	}
	s.herald.tell(e)
	return e
}
