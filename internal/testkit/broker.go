package testkit

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

var (
	queues    = []string{"order", "inventory", "payment", "view", "shelf", "dead", "unrouted"}
	exchanges = []string{"events", "unrouted"}
)

// cleanBroker deletes the namespace's queues and exchanges afterwards. One that was never made is none to delete.
func cleanBroker(t testing.TB, url, namespace string, tidy tidying) {
	t.Helper()
	tidy(t, "delete the test's queues", func(ctx context.Context) (err error) {
		conn, err := dialBroker(ctx, url)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, conn.Close()) }()
		return deleteTopology(conn, namespace)
	})
}

func deleteTopology(conn *amqp.Connection, namespace string) error {
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	for _, name := range queues {
		if _, err := ch.QueueDelete(namespace+"."+name, false, false, false); err != nil {
			return err
		}
	}
	for _, name := range exchanges {
		if err := ch.ExchangeDelete(namespace+"."+name, false, false); err != nil {
			return err
		}
	}
	return nil
}

func dialBroker(ctx context.Context, url string) (*amqp.Connection, error) {
	return amqp.DialConfig(url, amqp.Config{
		Dial: func(network, addr string) (net.Conn, error) {
			conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return conn, conn.SetDeadline(time.Now().Add(cleanupPatience))
		},
	})
}
