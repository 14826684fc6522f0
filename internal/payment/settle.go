package payment

import (
	"context"
	"fmt"
	"math/rand/v2"
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
	lateRetry    = 10 * time.Minute // for what the provider has forgotten: a person must see to it
)

// result is what came of calling the provider for a claimed payment. err set means that nothing is known.
type result struct {
	*row
	outcome Outcome
	err     error
}

// settle commits results and the facts that follow from them. A result of a claim that somebody else has taken over since,
// or that was settled before, is dropped: whoever asks the provider next hears the same. It goes on when ctx ends, so that
// what was answered is not lost.
func (c *Charger) settle(ctx context.Context, results []result) error {
	ids := make([]uuid.UUID, len(results))
	for i, r := range results {
		ids[i] = r.OrderID
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), databaseTimeout)
	defer cancel()
	again := false
	err := c.db.InTx(ctx, func(tx pgx.Tx) error {
		again = false
		stored, err := lock(ctx, tx, ids)
		if err != nil {
			return err
		}
		var changes []change
		var moved []transfer
		var say []event.Fact
		for _, r := range results {
			p := stored[r.OrderID]
			if p == nil || p.claim != r.claim || !p.held {
				continue
			}
			before := p.Payment
			if name := p.apply(r); name != "" {
				say = append(say, p.fact(name))
			}
			moved = append(moved, transfers(before, p.Payment)...)
			next := change{Payment: p.Payment, dueIn: p.dueIn(r)}
			changes, again = append(changes, next), again || p.State.UnderWay() && next.dueIn == 0
		}
		batch := &pgx.Batch{}
		update(batch, changes)
		book(batch, moved)
		outbox.Queue(batch, say...)
		err = write(ctx, tx, batch)
		failpoint.Reach("settling")
		return err
	})
	if err != nil {
		return fmt.Errorf("settle %d payments: %w", len(results), err)
	}
	failpoint.Reach("settled")
	if again {
		c.Wake()
	}
	return nil
}

func (p *row) apply(r result) event.Name {
	if r.err != nil {
		return p.Lose()
	}
	return p.Hear(r.outcome)
}

// dueIn says when to take up what is under way: at once if there is something new to do, else later and later.
func (p *row) dueIn(r result) time.Duration {
	switch {
	case p.Tries == 0, p.Undone() && !r.Undone(): // to be refunded now, or to be closed now
		return 0
	case !r.recent:
		return jitter(lateRetry)
	}
	return jitter(min(firstRetry<<min(p.Tries-1, 16), longestRetry))
}

// jitter gives a time between half and all of d, so that what failed together is not tried together.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }
