package broker

import (
	"context"
	"fmt"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inflow is one connection's worth of deliveries from one queue.
type inflow struct {
	link     *link
	ch       *amqp.Channel
	buffered chan amqp.Delivery // what has arrived and is not taken; closed when nothing more will come
	gone     context.Context    // ends with the channel: acks are of no use any more
	leave    context.CancelFunc
	closed   chan *amqp.Error
}

// openInflow connects and subscribes. prefetch bounds the deliveries that are not acknowledged. declare makes the queue,
// which may have been deleted since the last time.
func openInflow(ctx context.Context, cfg Config, queue string, prefetch int, declare func(*link) error) (*inflow, error) {
	l, err := dial(ctx, cfg, "consumer of "+queue)
	if err != nil {
		return nil, err
	}
	in := &inflow{link: l, buffered: make(chan amqp.Delivery, prefetch)}
	in.gone, in.leave = context.WithCancel(context.WithoutCancel(ctx))
	err = l.during(ctx, func() error { return in.subscribe(queue, prefetch, declare) })
	if err != nil {
		in.leave()
		l.close()
		return nil, err
	}
	return in, nil
}

func (in *inflow) subscribe(queue string, prefetch int, declare func(*link) error) error {
	var err error
	if in.ch, err = in.link.Channel(); err != nil {
		return fmt.Errorf("open channel: %w", err)
	}
	in.closed = in.ch.NotifyClose(make(chan *amqp.Error, 1))
	if err := declare(in.link); err != nil {
		return err
	}
	if err := in.ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("set prefetch: %w", err)
	}
	deliveries, err := in.consume(queue)
	if err != nil {
		return err
	}
	go in.pump(deliveries) // ends with the channel, which close ends
	return nil
}

// pump moves deliveries to where their number can be seen: the library offers them one by one. It never blocks, because no
// more than prefetch deliveries are out.
func (in *inflow) pump(deliveries <-chan amqp.Delivery) {
	for d := range deliveries {
		in.buffered <- d
	}
	in.leave()
	close(in.buffered)
}

// lookEvery is how often a consumer makes sure that its queue still knows it.
const lookEvery = 3 * time.Second

// subscribed fails when the queue is gone or has no consumer: RabbitMQ does not always tell a consumer that its queue was
// deleted, when that happens as it subscribes, and then it would wait for ever.
func (in *inflow) subscribed(ctx context.Context, queue string) error {
	return in.link.during(ctx, func() error {
		d, err := in.link.depth(queue)
		if err == nil && (d.Missing || d.Consumers == 0) {
			err = fmt.Errorf("queue %s has forgotten its consumer", queue)
		}
		return err
	})
}

// lost says why deliveries have ended.
func (in *inflow) lost() error {
	select {
	case err := <-in.closed:
		return lostChannel(err)
	default:
		return fmt.Errorf("consumer was cancelled by RabbitMQ")
	}
}

// close ends the connection, and everything that is not acknowledged goes back to its queue.
func (in *inflow) close() {
	in.link.close()
	for range in.buffered { // until pump has ended
	}
}
