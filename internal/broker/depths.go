package broker

import (
	"context"
	"errors"
	"fmt"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Depth is how full a queue is. Messages that a consumer has been given and has not acknowledged are not counted.
type Depth struct {
	Queue     string `json:"queue"`
	Messages  int    `json:"messages"` // a message holds one fact or a batch of them
	Consumers int    `json:"consumers"`
	Missing   bool   `json:"missing,omitempty"` // the queue is not there
}

// Depths counts all queues of the topology, by passive declaration: the management numbers lag by seconds.
func Depths(ctx context.Context, cfg Config) ([]Depth, error) {
	l, err := dial(ctx, cfg, "depths")
	if err != nil {
		return nil, err
	}
	defer l.close()
	var depths []Depth
	err = l.during(ctx, func() error {
		for _, name := range cfg.Topology.names() {
			d, err := l.depth(name)
			if err != nil {
				return err
			}
			depths = append(depths, d)
			cfg.metrics().depth.WithLabelValues(name).Set(float64(d.Messages))
		}
		return nil
	})
	return depths, err
}

// depth asks on a channel of its own, because a missing queue closes it.
func (l *link) depth(name string) (Depth, error) {
	ch, err := l.Channel()
	if err != nil {
		return Depth{}, fmt.Errorf("depth of %s: %w", name, err)
	}
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.NotFound {
		return Depth{Queue: name, Missing: true}, nil
	}
	if err != nil {
		return Depth{}, fmt.Errorf("depth of %s: %w", name, err)
	}
	return Depth{Queue: name, Messages: q.Messages, Consumers: q.Consumers}, nil
}
