package relay

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	slotSoon  = time.Second            // in which a slot is made when nobody has left a transaction open
	makerPoll = 250 * time.Millisecond // between polls while it is being made
)

// errMade ends what is done while a slot is made.
var errMade = errors.New("the slot is made")

// makeSlot makes the slot, and polls for as long as that takes: Postgres waits for every transaction of the server that has written and
// is open, in whatever database. It notes first that the slot does not carry on from the mark: rows before it are in no stream.
func (r *Relay) makeSlot(ctx context.Context, s *stream) (at pglogrepl.LSN, err error) {
	if err := r.breaksOff(ctx); err != nil {
		return 0, err
	}
	err = together(ctx,
		func(ctx context.Context) (err error) {
			if at, err = s.create(ctx, r.slot); err == nil {
				err = errMade
			}
			return err
		},
		func(ctx context.Context) error { return r.pollMeanwhile(ctx, s) })
	if errors.Is(err, errMade) {
		return at, nil
	}
	return 0, errors.Join(err, ctx.Err())
}

// pollMeanwhile polls from soon on until ctx ends. Whoever makes the slot has it, as its reader will, so that it alone does so.
func (r *Relay) pollMeanwhile(ctx context.Context, s *stream) error {
	if err := run.Pause(ctx, slotSoon); err != nil {
		return err
	}
	r.Log.Warn("the slot waits for transactions that are open: polling until it is made", "slot", r.slot)
	for ctx.Err() == nil {
		if err := r.pollAsMaker(ctx, s); err != nil && ctx.Err() == nil {
			r.Log.Warn("polling while the slot is made failed", "error", err)
		}
		_ = run.Pause(ctx, standByPause)
	}
	return ctx.Err()
}

func (r *Relay) pollAsMaker(ctx context.Context, s *stream) error {
	term, err := r.takeOffice(ctx, s)
	if err != nil {
		return err
	}
	defer r.Lease.GiveBack(ctx, term)
	defer r.lead(term)()
	p := &poller{Relay: r, belt: newBelt(r), term: term, making: true}
	return together(ctx, p.belt.run, p.run, func(ctx context.Context) error { return r.keepTerm(ctx, term) })
}

// keepTerm renews a term until it is over, or ctx ends.
func (r *Relay) keepTerm(ctx context.Context, term lease.Term) error {
	for run.Pause(ctx, r.markEvery) == nil {
		err := r.note(ctx, "term not renewed", func(ctx context.Context) error { return r.Lease.Renew(ctx, term) })
		if lease.Over(err) {
			return err
		}
	}
	return ctx.Err()
}
