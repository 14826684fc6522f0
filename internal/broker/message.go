package broker

import (
	"context"
	"errors"
	"fmt"
)

// MaxBody is the largest body in bytes that is published: RabbitMQ 4 refuses 16 MiB, and closes the channel over it.
const MaxBody = 15 << 20

// maxShort is the largest AMQP short string.
const maxShort = 255

var (
	// ErrUnpublishable is a message that no attempt will ever bring into a queue.
	ErrUnpublishable = errors.New("message cannot be published")
	// ErrStopped says that the publisher has stopped before the message was confirmed. It may be in the queue all the same.
	ErrStopped = errors.New("publisher stopped before the confirm")
)

// Message is what is published. It is persistent and mandatory.
type Message struct {
	ID          string // the same for every copy; unlike that of any other message on its way
	Exchange    string // "" sends to the queue that Key names
	Key         string
	ContentType string
	Headers     map[string]any // strings and int64
	Body        []byte         // not to be changed until the message is confirmed
}

func (m Message) check() error {
	switch {
	case len(m.Body) > MaxBody:
		return fmt.Errorf("%w: body of %d bytes", ErrUnpublishable, len(m.Body))
	case len(m.Key) > maxShort, len(m.ID) > maxShort, len(m.Exchange) > maxShort:
		return fmt.Errorf("%w: a name of more than %d bytes", ErrUnpublishable, maxShort)
	case m.ID == "":
		return fmt.Errorf("%w: no id", ErrUnpublishable)
	}
	return nil
}

// Receipt is the promise that a message will be confirmed.
type Receipt struct {
	message Message
	done    chan struct{}   // closed with the confirm
	stopped <-chan struct{} // closed when the publisher has ended
}

// Wait returns nil once RabbitMQ has confirmed that the message is in a queue, ErrStopped when that cannot happen any more,
// or the error of ctx.
func (r *Receipt) Wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	default:
	}
	select {
	case <-r.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-r.stopped:
	}
	select {
	case <-r.done:
		return nil
	default:
		return ErrStopped
	}
}
