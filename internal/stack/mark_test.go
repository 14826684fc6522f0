package stack

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	goredis "github.com/redis/go-redis/v9"
)

// mark writes a word into every server that was started.
func mark(t *testing.T, at addresses, word string) {
	t.Helper()
	err := errors.Join(markPostgres(t.Context(), at.Postgres, word), markRedis(t.Context(), at.Redis, word), markRabbit(t.Context(), at.Rabbit, word))
	if err != nil {
		t.Fatalf("write %s: %v", word, err)
	}
}

// marked reads the word back from every server that was started.
func marked(t *testing.T, at addresses, word string) {
	t.Helper()
	eventually(t, "read back "+word, func() error {
		return errors.Join(findPostgres(t.Context(), at.Postgres, word), findRedis(t.Context(), at.Redis, word), findRabbit(at.Rabbit, word))
	})
}

func onPostgres(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	if url == given {
		return nil
	}
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

func markPostgres(ctx context.Context, url, word string) error {
	return onPostgres(ctx, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "CREATE TABLE "+word+" (n int); INSERT INTO "+word+" SELECT generate_series(1, 1000)")
		return err
	})
}

func findPostgres(ctx context.Context, url, word string) error {
	return onPostgres(ctx, url, func(conn *pgx.Conn) error {
		var n int
		err := conn.QueryRow(ctx, "SELECT count(*) FROM "+word).Scan(&n)
		if err == nil && n != 1000 {
			return fmt.Errorf("%d rows of 1000", n)
		}
		return err
	})
}

func onRedis(url string, do func(goredis.UniversalClient) error) error {
	if url == given {
		return nil
	}
	opts := &goredis.UniversalOptions{MaxRetries: -1, MaxRedirects: -1, ReadTimeout: time.Second}
	for one := range strings.SplitSeq(url, ",") {
		node, err := goredis.ParseURL(one)
		if err != nil {
			return err
		}
		opts.Addrs = append(opts.Addrs, node.Addr)
	}
	client := goredis.NewUniversalClient(opts)
	return errors.Join(do(client), client.Close())
}

func markRedis(ctx context.Context, url, word string) error {
	return onRedis(url, func(client goredis.UniversalClient) error { return client.Set(ctx, word, word, 0).Err() })
}

func findRedis(ctx context.Context, url, word string) error {
	return onRedis(url, func(client goredis.UniversalClient) error { return client.Get(ctx, word).Err() })
}

// marksQueue holds all words. It is one queue, because RabbitMQ forgets a quorum queue that it is killed too soon after.
const marksQueue = "marks"

func onRabbit(url string, do func(*amqp.Channel) error) error {
	if url == given {
		return nil
	}
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err == nil {
		_, err = ch.QueueDeclare(marksQueue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	}
	if err == nil {
		err = do(ch)
	}
	return errors.Join(err, conn.Close())
}

func markRabbit(ctx context.Context, url, word string) error {
	return onRabbit(url, func(ch *amqp.Channel) error {
		if err := ch.Confirm(false); err != nil {
			return err
		}
		message := amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte(word)}
		confirm, err := ch.PublishWithDeferredConfirmWithContext(ctx, "", marksQueue, false, false, message)
		if err != nil {
			return err
		}
		if ok, err := confirm.WaitContext(ctx); err != nil || !ok {
			return fmt.Errorf("confirmed %v: %w", ok, err)
		}
		return nil
	})
}

// findRabbit looks through the messages without taking any: closing the connection gives them back.
func findRabbit(url, word string) error {
	return onRabbit(url, func(ch *amqp.Channel) error {
		for {
			message, ok, err := ch.Get(marksQueue, false)
			if err != nil {
				return err
			}
			if !ok {
				return fmt.Errorf("no message says %s", word)
			}
			if string(message.Body) == word {
				return nil
			}
		}
	})
}
