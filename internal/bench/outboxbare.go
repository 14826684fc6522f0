package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"
	amqp "github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/errgroup"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
)

// facts makes facts as large as those of an order.
func (m *mailroom) facts(n int) []event.Fact {
	facts := make([]event.Fact, n)
	for i := range facts {
		o := event.Order{Customer: "ada", HoldID: uuid.New(), Lines: make([]event.OrderLine, m.Lines)}
		for l := range o.Lines {
			o.Lines[l] = event.OrderLine{ProductID: uuid.New(), Quantity: 1}
		}
		facts[i] = event.New(event.OrderCreated, "optimistic", uuid.Must(uuid.NewV7()), o)
	}
	return facts
}

func (m *mailroom) say(ctx context.Context, facts []event.Fact) error {
	return m.db.InTx(ctx, func(tx pgx.Tx) error { return outbox.Append(ctx, tx, facts...) })
}

// write commits so many facts, and gives the messages that a bare publisher makes of them and where the log ends then.
func (m *mailroom) write(ctx context.Context, n int) ([]broker.Message, pglogrepl.LSN, error) {
	facts := m.facts(n)
	messages := make([]broker.Message, n)
	for i, f := range facts {
		messages[i] = broker.Message{ID: f.ID.String(), Exchange: m.cfg.Topology.Exchange(), Key: f.RoutingKey(), ContentType: event.ContentType, Body: event.Encode(f)}
	}
	g, inner := errgroup.WithContext(ctx)
	g.SetLimit(writers)
	for from := 0; from < n; from += factsPerTx {
		g.Go(func() error { return m.say(inner, facts[from:min(from+factsPerTx, n)]) })
	}
	if err := g.Wait(); err != nil {
		return nil, 0, err
	}
	end, err := m.position(ctx)
	return messages, end, err
}

// multiply writes copies of what the outbox has, with ids of their own.
func (m *mailroom) multiply(ctx context.Context, n int) error {
	const most = 20_000 // in one transaction
	for done := 0; done < n; done += most {
		_, err := m.db.Exec(ctx, `
			INSERT INTO shared.outbox (id, name, strategy, body)
			SELECT gen_random_uuid(), name, strategy, body FROM (SELECT * FROM shared.outbox LIMIT 1) AS one, generate_series(1, $1)`, min(most, n-done))
		if err != nil {
			return err
		}
	}
	return nil
}

// confirmWindow is how many messages of ours are under way unconfirmed, at most.
const confirmWindow = 1024

// publishBare publishes messages as plainly as can be: one connection, one fact a message, persistent, mandatory, confirmed.
// It gives messages per second from the first to the last confirm.
func (m *mailroom) publishBare(ctx context.Context, messages []broker.Message) (float64, error) {
	conn, err := amqp.Dial(m.cfg.URL)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return 0, err
	}
	if err := ch.Confirm(false); err != nil {
		return 0, err
	}
	began := time.Now()
	under := make(chan *amqp.DeferredConfirmation, confirmWindow)
	g, inner := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(under)
		for _, message := range messages {
			confirm, err := ch.PublishWithDeferredConfirm(message.Exchange, message.Key, true, false, amqp.Publishing{
				MessageId: message.ID, ContentType: message.ContentType, DeliveryMode: amqp.Persistent, Body: message.Body,
			})
			if err != nil {
				return err
			}
			select {
			case under <- confirm:
			case <-inner.Done():
				return inner.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for confirm := range under {
			if acked, err := confirm.WaitContext(inner); err != nil || !acked {
				return errors.Join(err, fmt.Errorf("confirmed: %v", acked))
			}
		}
		return nil
	})
	err = g.Wait()
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	return float64(len(messages)) / took.Seconds(), m.empty(ctx, len(messages))
}

// receiveBare lets PostgreSQL's own tool read the same rows from a slot, into nothing, and gives facts per second.
func (m *mailroom) receiveBare(ctx context.Context, end pglogrepl.LSN) (float64, error) {
	program, err := postgresTool("pg_recvlogical")
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, program, "--dbname", m.url, "--slot", m.prefix+bareSlot, "--start", "--no-loop", "--file", os.DevNull,
		"--endpos", end.String(), "--fsync-interval", "0",
		"--option", "proto_version=1", "--option", "publication_names=holdfast_outbox", "--option", "binary=true")
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	return float64(m.Facts) / time.Since(began).Seconds(), nil
}
