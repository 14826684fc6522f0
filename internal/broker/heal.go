package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// errUnusable is of a queue that is there and cannot be consumed from, though RabbitMQ is well otherwise. RabbitMQ 3.10 leaves one
// behind when a node is killed, or the queue deleted, in the moment in which it is made: there is a record of it, and no process
// that works for it. It refuses what is published, and with it the fact that goes to others, too, and all facts behind that one.
var errUnusable = errors.New("the queue is there and does not work")

const (
	brokenFor      = 15 * time.Second // a queue has to be unusable before it is made anew: a node may be starting, or a leader being chosen
	consumeTimeout = 10 * time.Second // for RabbitMQ's answer to somebody who wants to consume
)

// source is a queue that is consumed from over one connection after the other.
type source struct {
	cfg      Config
	queue    string            // its full name
	prefetch int               // bounds the deliveries that are not acknowledged
	declare  func(*link) error // makes the queue, which may have been deleted since the last time
	broken   time.Time         // since when it has been unusable at every attempt; zero: it is not
}

// open connects and subscribes, and makes the queue anew if it has not worked for too long.
func (s *source) open(ctx context.Context) (*inflow, error) {
	if !s.broken.IsZero() && time.Since(s.broken) > s.cfg.brokenAfter() {
		if err := s.discard(ctx); err != nil {
			return nil, err
		}
	}
	in, err := openInflow(ctx, s.cfg, s.queue, s.prefetch, s.declare)
	if !errors.Is(err, errUnusable) {
		s.broken = time.Time{}
	} else if s.broken.IsZero() {
		s.broken = time.Now()
	}
	return in, err
}

// discard deletes the queue. The declaring that follows makes it anew and says so, and what was in it comes out of the outbox
// again: also where most of its nodes are merely away for so long, which RabbitMQ 3.10 does not distinguish.
func (s *source) discard(ctx context.Context) error {
	l, err := dial(ctx, s.cfg, "healer of "+s.queue)
	if err != nil {
		return err
	}
	defer l.close()
	return l.during(ctx, func() error {
		return l.alone(s.cfg.Topology.declaring(), func() error { return s.discardAlone(ctx, l) })
	})
}

// discardAlone looks once more, since another instance may have been here before.
func (s *source) discardAlone(ctx context.Context, l *link) error {
	in, err := openInflow(ctx, s.cfg, s.queue, 1, func(*link) error { return nil })
	if err == nil {
		in.close()
	}
	if !errors.Is(err, errUnusable) {
		return nil
	}
	ch, err := l.Channel()
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", s.queue, err)
	}
	defer ch.Close()
	err = l.whole(func() error {
		_, err := ch.QueueDelete(s.queue, false, false, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", s.queue, err)
	}
	s.cfg.metrics().replaced.Inc()
	s.cfg.Log.Warn("a queue did not work and was deleted, to be made anew", "queue", s.queue, "since", s.broken)
	return nil
}

// consume asks for deliveries. The library would wait for the answer for ever.
func (in *inflow) consume(queue string) (<-chan amqp.Delivery, error) {
	last := time.AfterFunc(consumeTimeout, in.link.cut)
	deliveries, err := in.ch.Consume(queue, queue, false, false, false, false, nil)
	late := !last.Stop()
	if err == nil {
		return deliveries, nil
	}
	var refused *amqp.Error
	if late || errors.As(err, &refused) && refused.Code == amqp.InternalError {
		err = errors.Join(errUnusable, err)
	}
	return nil, fmt.Errorf("consume %s: %w", queue, err)
}
