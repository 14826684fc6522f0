package payment

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/failpoint"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

const (
	firstRetry   = 250 * time.Millisecond
	longestRetry = time.Minute
	lateRetry    = 10 * time.Minute // for what only others can bring to an end: see onlyLookedUp and givenUp
	longestPause = lateRetry + time.Minute
)

// result is what came of calling the provider for a claimed payment. err set means that nothing is known.
type result struct {
	*row
	outcome Outcome
	err     error
}

// settle commits results and the facts that follow from them, and gives these. A result of a claim that somebody else has taken over since,
// or that was settled before, is dropped: whoever asks the provider next hears the same. It goes on when ctx ends, so that
// what was answered is not lost.
func (c *cashier) settle(ctx context.Context, results []result) (say []event.Fact, err error) {
	ids := make([]uuid.UUID, len(results))
	for i, r := range results {
		ids[i] = r.OrderID
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	again := false
	err = c.db.InTx(ctx, func(tx pgx.Tx) error {
		again, say = false, nil
		stored, err := lockAndNote(ctx, tx, ids, results)
		if err != nil {
			return err
		}
		var e effects
		for _, r := range results {
			p := stored[r.OrderID]
			if p == nil || p.claim != r.claim || !p.held {
				continue
			}
			before := p.Payment
			name := p.apply(r)
			dueIn := p.dueIn(r)
			e.add(before, p.Payment, name, dueIn)
			if r.act != nil {
				e.acts = append(e.acts, done{*r.act, p.OrderID, p.State})
			}
			again = again || p.State.UnderWay() && dueIn == 0
		}
		say, err = e.say, e.write(ctx, tx)
		failpoint.Reach("settling")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("settle %d payments: %w", len(results), err)
	}
	failpoint.Reach("settled")
	if again {
		c.wake()
	}
	return say, nil
}

// effects are what payments have come to, to be written in one batch.
type effects struct {
	changes []change
	moved   []transfer
	acts    []done
	say     []event.Fact
}

// add notes that a payment has moved, is to be taken up again in so long if it is under way, and says name, if anything.
func (e *effects) add(before, after Payment, name event.Name, dueIn time.Duration) {
	if name != "" {
		e.say = append(e.say, after.fact(name))
	}
	e.moved = append(e.moved, transfers(before, after)...)
	e.changes = append(e.changes, change{Payment: after, dueIn: dueIn})
}

func (e *effects) write(ctx context.Context, tx pgx.Tx) error {
	batch := &pgx.Batch{}
	update(batch, e.changes)
	book(batch, e.moved)
	keepActs(batch, e.acts)
	outbox.Queue(ctx, batch, e.say...)
	return write(ctx, tx, batch)
}

// errSaidAgain is an answer that a provider has kept under a key. Another key makes another refund.
var errSaidAgain = fmt.Errorf("%w: it says again that a refund was made that has failed since", ErrAnswered)

func (p *row) apply(r result) event.Name {
	if r.err == nil && r.outcome.Verdict == GivenBack && slices.Contains(p.FailedRefunds, r.outcome.RefundID) {
		r.err = errSaidAgain
	}
	if r.err == nil {
		p.LastError = ""
		return p.Hear(r.outcome)
	}
	p.LastError = lastError(r.err)
	if errors.Is(r.err, ErrAnswered) {
		p.ErrorAnswers++
	}
	return p.Lose()
}

// maxLastError is how many bytes of an error are kept.
const maxLastError = 1000

// lastError is an error as it is kept.
func lastError(err error) string {
	text := strings.ToValidUTF8(err.Error(), "?")
	if len(text) > maxLastError {
		text = strings.ToValidUTF8(text[:maxLastError], "")
	}
	return strings.ReplaceAll(text, "\x00", "?")
}

// dueIn says when to take up what is under way: at once if there is something new to do, else later and later.
func (p *row) dueIn(r result) time.Duration {
	switch {
	case p.Tries == 0, p.Undone() && !r.Undone(): // to be refunded now, or to be closed now
		return 0
	case r.onlyLookedUp(), errors.Is(r.err, ErrRefundFailed):
		return jitter(lateRetry)
	}
	return jitter(min(firstRetry<<min(p.Tries-1, 16), longestRetry))
}

// jitter gives a time between half and all of d, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
