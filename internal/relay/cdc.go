package relay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
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
		_ = run.Pause(ctx, wait)
	}
	return nil
}

// readSlot is one connection's worth of reading.
func (r *Relay) readSlot(ctx context.Context) error {
	publication, err := r.ensurePublication(ctx)
	if err != nil {
		return err
	}
	slot, err := r.inspectSlot(ctx)
	if err != nil {
		return err
	}
	if slot.active {
		return errStandBy
	}
	s, err := connect(ctx, r.PostgresURL, r.Topology.Namespace+" relay", r.SenderTimeout)
	if err != nil {
		return err
	}
	defer s.close(ctx)
	if err := r.open(ctx, s, slot); err != nil {
		return err
	}
	term, err := r.takeOffice(ctx, s)
	if err != nil {
		return err
	}
	defer r.Lease.GiveBack(ctx, term)
	reading, err := r.newReading(ctx, s, term, publication)
	if err != nil {
		return err
	}
	defer r.lead(term)()
	if err := reading.run(ctx); err != nil {
		return r.judge(ctx, err)
	}
	return errors.New("reading ended")
}

// open begins to stream from the slot, making it first where there is none that can be read. Who streams is alone.
func (r *Relay) open(ctx context.Context, s *stream, slot slotState) error {
	h, err := r.horizon(ctx)
	if err != nil {
		return err
	}
	switch {
	case slot.lost:
		r.met(slotLost, "slot has lost its log: making it anew and publishing from the mark", "slot", r.slot)
		if err := r.dropSlot(ctx); err != nil {
			return standBy(err)
		}
		slot.there = false
	case !slot.there && h.slot == r.slot:
		r.met(slotMissing, "slot is gone: making it anew and publishing from the mark", "slot", r.slot)
	case slot.there && slot.confirmed < h.lsn && h.known == h.server && h.began.After(h.at):
		r.met(slotMovedBack, "slot has moved back when Postgres died: going on from where everything is published",
			"slot", r.slot, "bytes", h.lsn-slot.confirmed)
	}
	from := slot.confirmed
	if slot.there && h.slot == r.slot && h.known == h.server {
		from = max(from, h.lsn) // spares repetitions
	}
	if !slot.there {
		if from, err = r.makeSlot(ctx, s); err != nil {
			return standBy(err)
		}
	}
	if err := s.start(ctx, r.slot, from); err != nil {
		return r.judge(ctx, err)
	}
	s.from = from
	return nil
}

// takeOffice ends the term of whoever read before, also of one that is frozen and knows nothing of it: nothing that it still
// writes will be taken. Only who reads the slot may.
func (r *Relay) takeOffice(ctx context.Context, s *stream) (lease.Term, error) {
	term, err := r.Lease.Seize(ctx, leaseName)
	if err != nil {
		return term, err
	}
	ours, err := r.reads(ctx, s.pg.PID())
	if err == nil && !ours {
		err = errStandBy // paused since the stream began, for so long that it was given up
	}
	if err == nil {
		err = r.recognise(ctx, term)
	}
	if err != nil {
		r.Lease.GiveBack(ctx, term)
	}
	return term, err
}

// newReading looks whether the stream carries on from the mark. It does not when the slot was made after it, when somebody
// has moved the slot past what is known to be published, or when the publication was another in between.
func (r *Relay) newReading(ctx context.Context, s *stream, term lease.Term, publication string) (*reading, error) {
	slot, err := r.inspectSlot(ctx)
	if err != nil {
		return nil, err
	}
	h, err := r.horizon(ctx)
	if err != nil {
		return nil, err
	}
	reading := &reading{
		Relay: r, term: term, publication: publication, stream: s, belt: newBelt(r), decoder: newDecoder(r), from: h,
		exact:    h.slot == r.slot && slot.confirmed <= h.lsn && h.publication == publication,
		caughtUp: make(chan struct{}), marked: make(chan struct{}, 1),
	}
	reading.confirmed.Store(uint64(s.from))
	reading.noted.Store(uint64(s.from))
	return reading, nil
}

// judge sees whether an error has spoilt the slot for good, and drops it then.
func (r *Relay) judge(ctx context.Context, err error) error {
	switch {
	case lease.Over(err):
		r.met(readerDeposed, "another instance has taken over", "error", err)
	case errors.Is(err, errSilent):
		r.met(readerSilent, "Postgres says nothing any more: connecting again", "error", err)
	case errors.Is(err, errPublication):
		r.met(publicationOff, "publication was changed: publishing from the mark", "error", err)
		return errors.Join(err, r.breaksOff(ctx))
	}
	code := postgres.Code(err)
	if code != slotUnusable && code != notThere {
		return standBy(err)
	}
	if missing, looked := r.publication(ctx); looked != nil || missing == "" {
		return errors.Join(err, looked) // a new slot would be spoilt as well: the publication comes first
	}
	r.met(slotUnreadable, "slot cannot be read: making it anew and publishing from the mark", "slot", r.slot, "error", err)
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
