package payment

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/clock"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// afterwards hears what befell refunds and charges after they were made. A row of each is its memory, so that a notice that comes
// again, or out of order, changes nothing.
type afterwards struct {
	db       *postgres.DB
	wake     func()
	log      *slog.Logger
	back     func(context.Context, uuid.UUID) error // brings an archived order back, or is ErrNotBack
	failed   *prometheus.CounterVec                 // effect
	disputed *prometheus.CounterVec                 // turn
}

func newAfterwards(db *postgres.DB, wake func(), back func(context.Context, uuid.UUID) error, log *slog.Logger, registry prometheus.Registerer) afterwards {
	if back == nil {
		back = func(context.Context, uuid.UUID) error { return ErrNotBack }
	}
	return afterwards{db: db, wake: wake, log: log, back: back, failed: counted(registry, prometheus.CounterOpts{
		Name: "holdfast_payment_failed_refunds_total", Help: "Refunds that have failed at the provider though it had made them, by what came of it here.",
	}, "effect"), disputed: counted(registry, prometheus.CounterOpts{
		Name: "holdfast_payment_disputes_total", Help: "Disputes that the provider told of, by turn: opened, changed, over.",
	}, "turn")}
}

// ErrNotBack says that an archived order is not there to be brought back.
var ErrNotBack = errors.New("the archived order is not there any more")

// isLater says whether a line is of what befell a refund or a charge later.
func (l Line) isLater() bool { return l.Verdict == RefundFailed || l.Verdict == Disputed }

// hear hears such a line, and says in a word what came of it.
func (a afterwards) hear(ctx context.Context, l Line) (string, error) {
	if l.At.IsZero() {
		l.At = clock.Now()
	}
	if l.Verdict == Disputed {
		return a.dispute(ctx, l)
	}
	return a.fail(ctx, l)
}

// What came of it that a refund has failed.
const (
	owedAgain = "owed again" // it had counted as made
	stillOwed = "still owed" // it had not, and is asked for
	noEffect  = "none"       // nobody here wants it made, or counts on it
)

// HearFailed hears that a refund of its charge has failed, and says what comes of it. It is owed again under another key, for the
// provider may answer under the old one what it has answered before.
func (p *Payment) HearFailed(refund, reason string) (effect string) {
	p.FailedRefunds = append(slices.Clip(p.FailedRefunds), refund)
	switch {
	case p.State == Refunded && p.RefundID == refund:
		p.State, p.RefundID, p.Tries = Refunding, "", 0
		p.Reversals++
		effect = owedAgain
	case p.State == Refunding:
		effect = stillOwed
	default:
		return noEffect
	}
	p.ErrorAnswers++
	p.LastError = lastError(fmt.Errorf("refund %s failed at the provider: %s", refund, reason))
	return effect
}

// fail hears that a refund has failed. An archived order is brought back for it, so that its money can be given back.
func (a afterwards) fail(ctx context.Context, l Line) (string, error) {
	result, archived, err := a.failOne(ctx, l, true)
	if archived == nil || err != nil {
		return result, err
	}
	err = a.back(ctx, *archived)
	if err != nil && !errors.Is(err, ErrNotBack) {
		return "", fmt.Errorf("bring order %s back, whose refund has failed: %w", archived, err)
	}
	result, _, err = a.failOne(ctx, l, false)
	return result, err
}

// failOne hears it. With back nothing is done about an archived order's, but that its id is given.
func (a afterwards) failOne(ctx context.Context, l Line, back bool) (result string, archived *uuid.UUID, err error) {
	var is whose
	fresh, effect := false, noEffect
	err = a.db.InTx(ctx, func(tx pgx.Tx) (err error) {
		fresh, effect = false, noEffect
		if is, err = belongs(ctx, tx, l); err != nil || !is.ours || is.heard || is.archived && back {
			return err
		}
		var e effects
		if p := is.payment; p != nil && !slices.Contains(p.FailedRefunds, l.ID) && l.AmountMinor == p.Terms.TotalMinor && l.Currency == p.Terms.Currency {
			before := p.Payment
			effect = p.HearFailed(l.ID, l.Reason)
			e.moved = transfers(before, p.Payment)
			e.changes = []change{{Payment: p.Payment, keepLease: effect != owedAgain, failed: l.ID}}
		} else if is.orphan {
			if effect, err = failOrphan(ctx, tx, l); err != nil {
				return err
			}
		}
		if fresh, err = a.keepFailed(ctx, tx, l, is, effect); err != nil || !fresh {
			return err
		}
		failpoint.Reach("adopting")
		return e.write(ctx, tx)
	})
	switch {
	case err != nil:
		return "", nil, fmt.Errorf("hear that refund %s has failed: %w", l.ID, err)
	case !is.ours:
		return "of no interest", nil, nil
	case is.archived && back && !is.heard:
		return "", is.order, nil
	case !fresh:
		return "known", nil, nil
	}
	a.failed.WithLabelValues(effect).Inc()
	a.log.WarnContext(ctx, "a refund has failed at the provider", "refund_id", l.ID, "charge_id", l.ChargeID, "order_id", l.OrderID, "effect", effect,
		"reason", l.Reason, "amount_minor", l.AmountMinor, "currency", l.Currency)
	if effect != noEffect {
		a.wake()
	}
	return "refund failed", nil, nil
}

// mostFailed is how many refunds of a payment may fail and be made again. After one more a person has to see to it.
const mostFailed = 3

// givenUp reports whether a refund has failed too often to be asked for again, unless an operator wants it.
func (p *row) givenUp() bool { return len(p.FailedRefunds) > mostFailed && !p.insisted() }

func (p *row) insisted() bool { return p.act != nil && p.act.Name == actRetry }

// madeByOthers looks whether somebody has given back at the provider what we do not ask for any more.
func (c *cashier) madeByOthers(ctx context.Context, task *row) (Outcome, error) {
	outcome, err := c.through(ctx, "lookup", Provider.Lookup, task)
	if err == nil && outcome.Verdict != GivenBack {
		err = ErrRefundFailed
	}
	return outcome, err
}

// BringBack has archived orders brought back whose refund has failed; back is ErrNotBack for one that is not there any more.
func (n *Notices) BringBack(back func(context.Context, uuid.UUID) error) { n.later.back = back }
