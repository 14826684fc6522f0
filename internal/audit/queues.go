package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// depth is how many messages wait in a queue.
type depth struct {
	Queue    string `json:"queue"`
	Messages int    `json:"messages"`
}

// brokerTimeout bounds all of the talk with the broker: connecting, asking, closing.
const brokerTimeout = 10 * time.Second

// depths asks the broker, by passive declare (its management figures are seconds old), how many messages wait in each queue.
// A queue that does not exist has none: what was said and not heard is found in the inboxes. Of several nodes the first is asked
// that answers.
func depths(ctx context.Context, urls string, queues []string, series func(n int) string) ([]depth, error) {
	conn, err := connect(ctx, strings.Split(urls, ","))
	if err != nil {
		return nil, fmt.Errorf("ask the broker: %w", err)
	}
	defer conn.Close()
	found := make([]depth, 0, len(queues))
	for _, name := range queues {
		n, _, err := messages(conn, name)
		if err != nil {
			return nil, fmt.Errorf("ask for queue %s: %w", name, err)
		}
		found = append(found, depth{name, n})
	}
	for i := 0; series != nil; i++ {
		n, there, err := messages(conn, series(i))
		if err != nil {
			return nil, fmt.Errorf("ask for queue %s: %w", series(i), err)
		}
		if !there {
			break
		}
		found = append(found, depth{series(i), n})
	}
	return found, nil
}

func connect(ctx context.Context, urls []string) (*amqp.Connection, error) {
	var errs []error
	for _, url := range urls {
		conn, err := amqp.DialConfig(strings.TrimSpace(url), amqp.Config{Dial: dialer(ctx), Properties: amqp.Table{"connection_name": "holdfast audit"}})
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// messages opens a channel for each question, for a queue that does not exist closes it.
func messages(conn *amqp.Connection, queue string) (n int, there bool, err error) {
	ch, err := conn.Channel()
	if err != nil {
		return 0, false, err
	}
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	var refused *amqp.Error
	if errors.As(err, &refused) && refused.Code == amqp.NotFound {
		return 0, false, nil
	}
	return q.Messages, true, err
}

// dialer sets one deadline on the connection for the whole of its short life, for the library sets none on its writes.
func dialer(ctx context.Context) func(network, addr string) (net.Conn, error) {
	return func(network, addr string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: brokerTimeout}).DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return conn, conn.SetDeadline(time.Now().Add(brokerTimeout))
	}
}
