package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// hearing is one connection's worth of a consumer. All of it runs in one goroutine.
type hearing struct {
	*Consumer
	*inflow
	m      *Metrics
	tally  *tally
	parked []*piece // failed alone, waiting for their next attempt
	open   int      // letters taken and not acknowledged
}

var errGone = errors.New("the channel of these deliveries is closed")

// work takes batches and due retries until the channel or ctx ends.
func (s *hearing) work(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		due := s.nextDue(timer)
		s.showParked()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.gone.Done():
			return s.lost()
		case <-look.C:
			if err := s.subscribed(ctx, s.cfg.Topology.Queue(s.sub.Queue)); err != nil {
				return err
			}
		case <-due:
			if err := s.retryDue(ctx); err != nil {
				return err
			}
		case d, ok := <-s.buffered:
			if !ok {
				return s.lost()
			}
			if err := s.take(ctx, d); err != nil {
				return err
			}
		}
	}
}

// take makes a batch of a delivery and of what is buffered behind it, never waiting for more, and sees it through. It
// fails only when the channel or ctx has ended. A message that came back too often is taken alone.
func (s *hearing) take(ctx context.Context, d amqp.Delivery) error {
	if cameBack(d) >= suspicious {
		return s.takeAlone(ctx, d)
	}
	pieces, next, err := s.gather(ctx, d)
	if err != nil {
		return err
	}
	if err := s.batch(ctx, pieces); err != nil || next == nil {
		return err
	}
	return s.takeAlone(ctx, *next)
}

// gather makes a batch of a delivery and of what is buffered behind it, up to the next that is to be taken alone.
func (s *hearing) gather(ctx context.Context, d amqp.Delivery) (pieces []*piece, next *amqp.Delivery, err error) {
	pieces, err = s.unpack(ctx, d)
	for err == nil && len(pieces) < s.sub.Batch {
		select {
		case d, ok := <-s.buffered:
			if !ok {
				return nil, nil, s.lost()
			}
			if cameBack(d) >= suspicious {
				return pieces, &d, nil
			}
			var more []*piece
			more, err = s.unpack(ctx, d)
			pieces = append(pieces, more...)
			continue
		default:
		}
		break
	}
	return pieces, nil, err
}

// batch hears facts together, or one by one when that fails.
func (s *hearing) batch(ctx context.Context, pieces []*piece) error {
	pieces, err := s.putBy(ctx, pieces)
	if err != nil || len(pieces) == 0 {
		return err
	}
	if err := s.hear(ctx, pieces); err != nil {
		return s.apart(ctx, pieces, err)
	}
	s.done(pieces...)
	return nil
}

// apart takes the facts of a failed batch alone, so that a bad one hurts itself alone.
func (s *hearing) apart(ctx context.Context, pieces []*piece, err error) error {
	if len(pieces) == 1 {
		return s.failed(ctx, pieces[0], err)
	}
	if over := s.over(ctx); over != nil {
		return over
	}
	s.log.Warn("batch failed, taking its facts one by one", "facts", len(pieces), "error", err)
	for _, p := range pieces {
		if err := s.alone(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *hearing) alone(ctx context.Context, p *piece) error {
	if err := s.hear(ctx, []*piece{p}); err != nil {
		return s.failed(ctx, p, err)
	}
	s.forget(p)
	s.done(p)
	return nil
}

// hear hands facts to the module. An outage is waited out here, with everything held: whatever came next would fail too.
func (s *hearing) hear(ctx context.Context, pieces []*piece) error {
	facts := make([]event.Fact, len(pieces))
	for i, p := range pieces {
		facts[i] = p.fact
	}
	pauses := s.cfg.retries()
	waiting := false
	for {
		err := s.watched(ctx, pieces, func() error { return s.call(ctx, facts) })
		if err == nil {
			s.passed++
			return nil
		}
		if !s.outage(err) || s.over(ctx) != nil {
			return err
		}
		if !waiting {
			waiting = true
			s.log.Warn("waiting for an outage to end", "error", err)
		}
		s.wait(ctx, pauses.NextBackOff())
	}
}

// call is one attempt, with a time limit, a panic turned into an error, and a line in the log.
func (s *hearing) call(ctx context.Context, facts []event.Fact) (err error) {
	ctx, cancel := context.WithTimeout(ctx, s.sub.Timeout)
	defer cancel()
	start := time.Now()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler panicked: %v", p)
		}
		if err == nil {
			s.tell(ctx, facts, time.Since(start))
		}
	}()
	return s.sub.Handle(ctx, facts)
}

// over says why there is no point in going on, or nil.
func (s *hearing) over(ctx context.Context) error {
	select {
	case <-s.gone.Done():
		return errGone
	default:
		return ctx.Err()
	}
}

func (s *hearing) wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.gone.Done():
	case <-ctx.Done():
	}
}

// done acknowledges the letters whose last fact this was: all at once when nothing older is open, else one by one. An ack
// that comes too late is no error, since the module has heard the facts.
func (s *hearing) done(pieces ...*piece) {
	var finished []*letter
	for _, p := range pieces {
		p.letter.open--
		if p.letter.open == 0 {
			finished = append(finished, p.letter)
		}
	}
	s.open -= len(finished)
	if len(finished) == 0 {
		return
	}
	if s.open == 0 {
		_ = finished[len(finished)-1].delivery.Ack(true)
		return
	}
	for _, l := range finished {
		_ = l.delivery.Ack(false)
	}
}
