package broker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/google/uuid"
)

// failure is what is known of a fact that failed alone.
type failure struct {
	attempts int
	unseen   bool // what it is about may still appear
	first    error
	last     error
	passed   int       // Consumer.passed at the last failure
	due      time.Time // of the next attempt
	pauses   *backoff.ExponentialBackOff
}

// remembered bounds the failures that are kept for facts that never came back, because another instance has them now.
const remembered = 10_000

// failed decides what becomes of a fact that failed alone: a dead letter, or another attempt later, with others passing it.
func (s *hearing) failed(ctx context.Context, p *piece, err error) error {
	if over := s.over(ctx); over != nil {
		return over
	}
	s.m.failed.WithLabelValues(s.sub.Queue).Inc()
	s.tally.failed.Add(1)
	f := s.note(p.fact.ID, err)
	var deadly *deadlyError
	switch {
	case errors.As(err, &deadly):
		return s.buryDeadly(ctx, p, f, deadly)
	case s.sub.Permanent != nil && s.sub.Permanent(err):
		return s.give(ctx, p, f, ReasonPermanent)
	case f.attempts >= s.sub.Attempts:
		return s.give(ctx, p, f, ReasonExhausted)
	}
	f.due = time.Now().Add(f.pauses.NextBackOff())
	s.parked = append(s.parked, p)
	s.log.Warn("fact failed", "fact", p.fact.ID, "name", p.fact.Name, "order", p.fact.OrderID, "attempt", f.attempts, "error", err)
	return nil
}

// note counts an attempt. One that took too long counts only when other facts went through since the one before it:
// otherwise it may be the database that is slow, and not this fact. One that did not find what the fact is about does not count
// while that may still appear.
func (s *hearing) note(id uuid.UUID, err error) *failure {
	f := s.failures[id]
	if f == nil {
		if len(s.failures) >= remembered {
			s.forgetOthers()
		}
		f = &failure{first: err, passed: s.passed, pauses: s.cfg.retries()}
		s.failures[id] = f
	}
	if f.unseen = s.sub.MayAppear != nil && s.sub.MayAppear(f.first, err); !f.unseen && (!slow(err) || s.passed != f.passed) {
		f.attempts++
	}
	f.last, f.passed = err, s.passed
	return f
}

// forgetOthers drops what is known of facts that are not here.
func (s *hearing) forgetOthers() {
	kept := make(map[uuid.UUID]*failure, len(s.parked))
	for _, p := range s.parked {
		kept[p.fact.ID] = s.failures[p.fact.ID]
	}
	s.failures = kept
}

func (s *hearing) forget(p *piece) { delete(s.failures, p.fact.ID) }

// give makes a dead letter of a fact and is done with it.
func (s *hearing) give(ctx context.Context, p *piece, f *failure, reason string) error {
	if err := s.bury(ctx, spent(s.sub.Module, p, f, reason)); err != nil {
		return err
	}
	s.forget(p)
	s.done(p)
	return nil
}

// bury brings a dead letter into its queue. Until that is confirmed the fact is not acknowledged.
func (s *hearing) bury(ctx context.Context, d DeadLetter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.gone, cancel)()
	if err := s.publisher.Publish(ctx, d.message(s.cfg.Topology)); err != nil {
		return err
	}
	s.m.buried.WithLabelValues(s.sub.Queue, d.Reason).Inc()
	s.tally.buried.Add(1)
	s.log.Error("fact became a dead letter", "fact", d.FactID, "name", d.Name, "reason", d.Reason, "attempts", d.Attempts, "error", d.LastError)
	return nil
}

// nextDue is when the next parked fact is due, or nil.
func (s *hearing) nextDue(timer *time.Timer) <-chan time.Time {
	if len(s.parked) == 0 {
		return nil
	}
	first := s.failures[s.parked[0].fact.ID].due
	for _, p := range s.parked[1:] {
		if due := s.failures[p.fact.ID].due; due.Before(first) {
			first = due
		}
	}
	timer.Reset(time.Until(first))
	return timer.C
}

// retryDue tries the parked facts that are due, alone.
func (s *hearing) retryDue(ctx context.Context) error {
	now := time.Now()
	var due []*piece
	s.parked = slices.DeleteFunc(s.parked, func(p *piece) bool {
		if s.failures[p.fact.ID].due.After(now) {
			return false
		}
		due = append(due, p)
		return true
	})
	for _, p := range due {
		if err := s.alone(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// slow says whether an attempt failed for want of time.
func slow(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || slices.Contains([]string{"57014", "55P03"}, sqlState(err))
}

// showParked tells how many facts wait for their next attempt, and how many of them for what they are about.
func (s *hearing) showParked() {
	unseen := 0
	for _, p := range s.parked {
		if s.failures[p.fact.ID].unseen {
			unseen++
		}
	}
	s.m.parked.WithLabelValues(s.sub.Queue).Set(float64(len(s.parked)))
	s.m.unseen.WithLabelValues(s.sub.Queue).Set(float64(unseen))
	s.tally.parked.Store(int64(len(s.parked)))
	s.tally.unseen.Store(int64(unseen))
}
