package app

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/redisx"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// topology is the queues of the modules and of their lanes, bound by the rows of all tables.
func topology(namespace string, book *saga.Book, lanes int) broker.Topology {
	t := broker.Topology{Namespace: namespace, Queues: make(map[string][]string), Lanes: make(map[string]broker.Lane), Quiet: book.Unbound()}
	for name, q := range book.Queues(max(1, lanes)) {
		t.Queues[name] = q.Keys
		if q.Lane {
			t.Lanes[name] = broker.Lane{Module: string(q.Module), Not: q.Not}
		}
	}
	return t
}

// hearing is one consumer per queue, which hands the verbs of the queue's module what it holds.
func (s *server) hearing() []run.Part {
	letters := broker.NewPublisher(s.broker)
	parts := []run.Part{{Name: "dead letters out", Run: letters.Run}}
	for _, queue := range slices.Sorted(maps.Keys(s.broker.Topology.Queues)) {
		consumer := broker.NewConsumer(s.broker, letters, s.subscription(queue))
		parts = append(parts, run.Part{Name: "consumer " + queue, Run: consumer.Run})
	}
	return append(parts, run.Part{Name: "former lanes", Run: func(ctx context.Context) error { return s.clearFormerLanes(ctx, letters) }})
}

func (s *server) subscription(queue string) broker.Subscription {
	module := s.broker.Topology.Module(queue)
	return broker.Subscription{
		Module: module, Queue: queue, Batch: s.cfg.ConsumerBatch, Handle: s.book.Hear(saga.Module(module), s.modules.actors()),
		Permanent: s.permanent, Outage: s.outage, MayAppear: inbox.MayAppear, Knows: s.book.Knows(saga.Module(module)), PutBy: s.rollout.Put,
	}
}

// formerLanesInterval is how often queues are looked for that were lanes when there were more of them.
const formerLanesInterval = 30 * time.Second

// clearFormerLanes hears what is left in the queues of lanes that there are no more, and takes them away. What it was about is in
// another lane now, or two take turns for a moment: the books do not rely on lanes.
func (s *server) clearFormerLanes(ctx context.Context, letters *broker.Publisher) error {
	tick := time.NewTicker(formerLanesInterval)
	defer tick.Stop()
	for {
		if err := s.clearLanesFrom(ctx, max(1, s.cfg.InventoryLanes), letters); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "former lanes cannot be cleared yet", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// clearLanesFrom goes from the last lane down, so that the lanes are a series whenever it ends.
func (s *server) clearLanesFrom(ctx context.Context, first int, letters *broker.Publisher) error {
	former, err := broker.CountSeries(ctx, s.broker, first, saga.LaneQueue)
	if err != nil {
		return err
	}
	for lane := first + former - 1; lane >= first; lane-- {
		sub := s.subscription(string(saga.Inventory))
		sub.Queue = saga.LaneQueue(lane)
		if err := broker.NewConsumer(s.broker, letters, sub).Clear(ctx); err != nil {
			return err
		}
	}
	return nil
}

// permanent says that no further attempt can heal what a fact met.
func (s *server) permanent(err error) bool {
	// The consumer asks without a context; the answer is a look at the catalogue, for facts that found no partition alone.
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return errors.Is(err, saga.ErrNoRow) || inbox.TooOld(ctx, s.db, err)
}

// outage says that something is down for every fact, so that no fact is to blame.
func (s *server) outage(err error) bool {
	var outside *inbox.OutsideError
	return outage(err) || errors.As(err, &outside) && !s.permanent(err)
}

// outage says that a server that we need is not there.
func outage(err error) bool { return postgres.Unavailable(err) || redisx.Unavailable(err) }
