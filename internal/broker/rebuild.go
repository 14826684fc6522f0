package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// ErrBacklog says that messages wait in a queue that is to be made anew.
var ErrBacklog = errors.New("messages wait in the queue")

const (
	emptyWithin = 5 * time.Second // for a queue to be empty for a moment, while its module keeps up
	emptyPoll   = 50 * time.Millisecond

	// farewell is left to consumers for being told that their queue is gone, before there is one of its name again: RabbitMQ 3.10
	// forgets to tell them else, and what the new one gives them gets lost on the way. They are told in milliseconds.
	farewell = time.Second
)

// Rebuild deletes a queue of the topology, named without the prefix, and makes it as this version declares it, while nobody else declares
// or deletes. It waits for a moment in which no message waits; with backlog it does not: what waited comes out of the
// outbox again, as far back as that is kept. The Config's Anew is told, so that what was on its way is published again.
//
// The turn of who declares belongs to the connection by which the queue is deleted: who is frozen in between loses both.
func Rebuild(ctx context.Context, cfg Config, name string, backlog bool) error {
	l, err := dial(ctx, cfg, "rebuilder of "+name)
	if err != nil {
		return err
	}
	defer l.close()
	return l.during(ctx, func() error {
		for deadline := time.Now().Add(emptyWithin); ; {
			err := l.alone(cfg.Topology.declaring(), func() error { return l.rebuild(cfg, name, backlog) })
			if !errors.Is(err, ErrBacklog) || time.Now().After(deadline) {
				return err
			}
			if err := run.Pause(ctx, emptyPoll); err != nil {
				return err
			}
		}
	})
}

func (l *link) rebuild(cfg Config, name string, backlog bool) error {
	queue := cfg.Topology.Queue(name)
	d, err := l.depth(queue)
	if err != nil {
		return err
	}
	if d.Messages > 0 && !backlog {
		return fmt.Errorf("%w: %d in %s", ErrBacklog, d.Messages, queue)
	}
	if !d.Missing {
		if err := l.whole(func() error { return l.delete(queue) }); err != nil {
			return err
		}
		time.Sleep(farewell)
	}
	var modules []string
	if _, ok := cfg.Topology.Queues[name]; ok {
		modules = []string{name}
	}
	if err := l.declareHere(cfg, modules); err != nil {
		return err
	}
	cfg.Log.Warn("a queue was deleted and made anew, as this version declares it", "queue", queue, "messages", d.Messages)
	return nil
}

func (l *link) delete(queue string) error {
	err := l.on(func(ch *amqp.Channel) error {
		_, err := ch.QueueDelete(queue, false, false, false)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete queue %s: %w", queue, err)
	}
	return nil
}
