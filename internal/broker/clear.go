package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// CountSeries says how many queues of a series are there, from its nth to the first that is missing. name gives names without the prefix.
func CountSeries(ctx context.Context, cfg Config, n int, name func(n int) string) (int, error) {
	l, err := dial(ctx, cfg, "series")
	if err != nil {
		return 0, err
	}
	defer l.close()
	count := 0
	err = l.during(ctx, func() error {
		for {
			d, err := l.depth(cfg.Topology.Queue(name(n + count)))
			if err != nil || d.Missing {
				return err
			}
			count++
		}
	})
	return count, err
}

// Clear hears what is left in a queue that is no part of the topology any more, lets nothing more into it, and deletes it. A queue
// that somebody consumes from is left alone, and so is one that is not there.
func (c *Consumer) Clear(ctx context.Context) error {
	queue := c.cfg.Topology.Queue(c.sub.Queue)
	used := false
	in, err := openInflow(ctx, c.cfg, queue, 4*c.sub.Batch, func(l *link) error {
		d, err := l.depth(queue)
		if used = d.Missing || d.Consumers > 0; used || err != nil {
			return errors.Join(err, errUsed)
		}
		return l.unbindLanes(c.cfg.Topology, queue)
	})
	if used {
		return nil
	}
	if err != nil {
		return err
	}
	defer in.close()
	m := c.cfg.metrics()
	s := &hearing{Consumer: c, inflow: in, m: m, tally: m.module(c.sub.Queue)}
	return s.clear(ctx, queue)
}

var errUsed = errors.New("the queue is in use, or gone")

// unbindLanes lets nothing into a queue that was a lane's.
func (l *link) unbindLanes(t Topology, queue string) error {
	ch, err := l.Channel()
	if err != nil {
		return fmt.Errorf("unbind queue %s: %w", queue, err)
	}
	defer ch.Close()
	for lane := range t.Lanes {
		for _, key := range t.Queues[lane] {
			if err := ch.QueueUnbind(queue, key, t.Exchange(), nil); err != nil {
				return fmt.Errorf("unbind queue %s from %s: %w", queue, key, err)
			}
		}
	}
	return nil
}

// clearEvery is how often a queue that is being cleared is looked at.
const clearEvery = 100 * time.Millisecond

// clear takes batches and due retries until nothing is left.
func (s *hearing) clear(ctx context.Context, queue string) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	look := time.NewTicker(clearEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.gone.Done():
			return s.lost()
		case <-s.nextDue(timer):
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
		case <-look.C:
			if empty, err := s.empty(queue); err != nil {
				return err
			} else if empty {
				return s.remove(ctx, queue)
			}
		}
	}
}

// empty says whether nothing waits in the queue, and nothing that came from it is open here.
func (s *hearing) empty(queue string) (bool, error) {
	if s.open > 0 || len(s.buffered) > 0 {
		return false, nil
	}
	d, err := s.link.depth(queue)
	return err == nil && d.Messages == 0, err
}

// remove ends the subscription, so that nothing is on its way any more, and deletes the queue if it is empty still: a quorum queue
// cannot be told to look itself.
func (s *hearing) remove(ctx context.Context, queue string) error {
	if err := s.ch.Cancel(queue, false); err != nil {
		return fmt.Errorf("end the subscription to %s: %w", queue, err)
	}
	for d := range s.buffered {
		if err := s.take(ctx, d); err != nil {
			return err
		}
	}
	empty, err := s.empty(queue)
	if err != nil || !empty {
		return errors.Join(err, fmt.Errorf("queue %s is not empty", queue))
	}
	if _, err := s.ch.QueueDelete(queue, false, false, false); err != nil {
		return fmt.Errorf("delete queue %s: %w", queue, err)
	}
	s.log.Info("a queue that is no part of the topology any more was heard to its end and deleted", "queue", queue)
	return nil
}
