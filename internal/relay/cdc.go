package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// SQLSTATEs that say something about a slot.
const (
	slotInUse    = "55006" // somebody else reads it
	slotExists   = "42710" // somebody else has just made it
	slotUnusable = "55000" // it has lost log that it needs
	notThere     = "42704" // the slot, or the publication at the time of a row
)

// errStandBy says that another instance reads the slot.
var errStandBy = errors.New("another instance reads the outbox")

// standByPause is how often an instance that stands by tries to take over.
const standByPause = time.Second

// runCDC reads the slot whenever it can, until ctx ends.
func (r *Relay) runCDC(ctx context.Context) error {
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval, pauses.Multiplier = 100*time.Millisecond, 3*time.Second, 2
	last := ""
	for ctx.Err() == nil {
		began := time.Now()
		err := r.readSlot(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if state := err.Error(); state != last {
			last = state
			r.Log.Warn("relay does not read", "error", err)
		}
		if time.Since(began) > 5*time.Second {
			pauses.Reset()
			last = ""
		}
		wait := standByPause
		if !errors.Is(err, errStandBy) {
			r.m.reconnects.Inc()
			wait = pauses.NextBackOff()
		}
		pause(ctx, wait)
	}
	return nil
}

// readSlot is one connection's worth of reading.
func (r *Relay) readSlot(ctx context.Context) error {
	slot, err := r.inspectSlot(ctx)
	if err != nil {
		return err
	}
	if slot.active {
		return errStandBy
	}
	s, err := connect(ctx, r.PostgresURL, r.Topology.Namespace+" relay")
	if err != nil {
		return err
	}
	defer s.close(ctx)
	from, err := r.open(ctx, s, slot)
	if err != nil {
		return err
	}
	defer r.lead()()
	h, err := r.horizon(ctx)
	if err != nil {
		return err
	}
	reading := &reading{Relay: r, stream: s, belt: newBelt(r), decoder: newDecoder(), caughtUp: make(chan struct{}), marked: make(chan struct{}, 1)}
	reading.confirmed.Store(uint64(from))
	if err := reading.run(ctx, h); err != nil {
		return r.judge(ctx, err)
	}
	return errors.New("reading ended")
}

// open begins to stream from the slot, making it first where there is none that can be read. Who streams is alone.
func (r *Relay) open(ctx context.Context, s *stream, slot slotState) (pglogrepl.LSN, error) {
	if err := r.published(ctx); err != nil {
		return 0, err
	}
	if slot.lost {
		r.Log.Error("slot has lost its log: making it anew and publishing from the mark", "slot", r.slot)
		if err := r.dropSlot(ctx); err != nil {
			return 0, standBy(err)
		}
		slot.there = false
	}
	from := slot.confirmed
	if !slot.there {
		var err error
		if from, err = r.makeSlot(ctx, s); err != nil {
			return 0, standBy(err)
		}
	}
	if err := s.start(ctx, r.slot, from); err != nil {
		return 0, r.judge(ctx, err)
	}
	return from, nil
}

// makeSlot notes first that the slot does not carry on from the mark: rows before it are in no stream.
func (r *Relay) makeSlot(ctx context.Context, s *stream) (pglogrepl.LSN, error) {
	if err := r.carriesOn(ctx, ""); err != nil {
		return 0, err
	}
	return s.create(ctx, r.slot)
}

// judge sees whether an error has spoilt the slot for good, and drops it then.
func (r *Relay) judge(ctx context.Context, err error) error {
	code := postgres.Code(err)
	if code != slotUnusable && code != notThere {
		return standBy(err)
	}
	if missing := r.published(ctx); missing != nil {
		return missing // a new slot would be spoilt as well
	}
	r.Log.Error("slot cannot be read: making it anew and publishing from the mark", "slot", r.slot, "error", err)
	if dropped := r.dropSlot(ctx); dropped != nil {
		return standBy(fmt.Errorf("%w, after: %w", dropped, err))
	}
	return err
}

// standBy names the errors of an instance that came second.
func standBy(err error) error {
	if code := postgres.Code(err); code == slotInUse || code == slotExists {
		return errStandBy
	}
	return err
}
