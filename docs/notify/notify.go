// Package notify shows how another program hears of the ends of orders, to tell customers. It needs nothing of Holdfast's: copy it.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"slices"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Ended is an order that has ended. The same one may come again, under the same ID.
type Ended struct {
	ID   string `json:"id"`
	Type string `json:"type"` // order.completed, order.failed, order.cancelled
	Data struct {
		Customer      string
		FailureReason string `json:"failure_reason"`
		TotalMinor    int64  `json:"total_minor"`
		Currency      string
		Lines         []struct {
			SKU, Name string
			Quantity  int64
		}
	}
}

// Listen hands every order that ends to tell, until ctx ends, the channel is closed or tell fails; the error says which. What was not
// told yet stays in the queue.
func Listen(ctx context.Context, ch *amqp.Channel, exchange, queue string, tell func(Ended) error) error {
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	for _, end := range []string{"completed", "failed", "cancelled"} {
		err = errors.Join(err, ch.QueueBind(queue, "*.order."+end, exchange, false, nil)) // of every strategy
	}
	messages, failed := ch.ConsumeWithContext(ctx, queue, "", false, false, false, false, nil)
	for err = errors.Join(err, failed); err == nil; {
		err = hear(<-messages, tell)
	}
	return err
}

// hear reads a message, which is one event or a list of them, and acknowledges it once all was told.
func hear(m amqp.Delivery, tell func(Ended) error) error {
	if len(m.Body) == 0 {
		return amqp.ErrClosed // there are no more messages
	}
	var events []Ended
	if m.Body[0] != '[' {
		m.Body = slices.Concat([]byte{'['}, m.Body, []byte{']'})
	}
	if err := json.Unmarshal(m.Body, &events); err != nil {
		return err
	}
	for _, e := range events {
		if err := tell(e); err != nil {
			return err
		}
	}
	return m.Ack(false)
}
