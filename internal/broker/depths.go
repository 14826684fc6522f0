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
	Differs   string `json:"differs,omitempty"` // how it differs from what this version declares: `holdfast queues rebuild`
}

// Depths counts all queues of the topology, by passive declaration: the management numbers lag by seconds.
func Depths(ctx context.Context, cfg Config) ([]Depth, error) {
	l, err := dial(ctx, cfg, "depths")
	if err != nil {
		return nil, err
	}
	defer l.close()
	var depths []Depth
	err = l.during(ctx, func() (err error) {
		depths, err = l.depths(cfg.Topology.names())
		return err
	})
	for i, d := range depths {
		depths[i].Differs = cfg.metrics().difference(d.Queue)
		cfg.metrics().depth.WithLabelValues(d.Queue).Set(float64(d.Messages))
	}
	return depths, err
}

func (l *link) depth(name string) (Depth, error) {
	d, err := l.depths([]string{name})
	if err != nil {
		return Depth{}, err
	}
	return d[0], nil
}

// depths asks for one queue after the other on one channel, until one that is missing closes it.
func (l *link) depths(names []string) ([]Depth, error) {
	var depths []Depth
	var ch *amqp.Channel
	defer func() {
		if ch != nil {
			_ = ch.Close()
		}
	}()
	for _, name := range names {
		var err error
		if ch == nil {
			if ch, err = l.Channel(); err != nil {
				return depths, fmt.Errorf("depth of %s: %w", name, err)
			}
		}
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		var refused *amqp.Error
		if errors.As(err, &refused) && refused.Code == amqp.NotFound {
			ch = nil
			depths = append(depths, Depth{Queue: name, Missing: true})
			continue
		}
		if err != nil {
			return depths, fmt.Errorf("depth of %s: %w", name, err)
		}
		depths = append(depths, Depth{Queue: name, Messages: q.Messages, Consumers: q.Consumers})
	}
	return depths, nil
}
