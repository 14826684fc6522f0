package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/jackc/pglogrepl"
	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/relay"
)

// outboxRow takes facts from the outbox to the broker's confirm, beside a bare publisher of the same bodies.
func outboxRow(mode relay.Mode) measure {
	return measure{"outbox/" + string(mode), func(ctx context.Context, p *place) (Row, error) { return p.outbox(ctx, mode) }}
}

const (
	sink        = "sink"            // the one queue that hears everything
	bareSlot    = "_pg_recvlogical" // behind the row's prefix
	factsPerTx  = 10
	trickleTime = 5 * time.Second
	waitingTime = 10 * time.Second
)

// mailroom is the outbox and the broker of the row.
type mailroom struct {
	*place
	mode relay.Mode
	url  string
	db   *postgres.DB
	cfg  broker.Config
	said int // facts that were written
}

// outbox measures one mode: with what is packed by default, and with one fact a message.
func (p *place) outbox(ctx context.Context, mode relay.Mode) (row Row, err error) {
	m, err := p.mailroom(ctx, mode)
	if err != nil {
		return Row{}, err
	}
	defer m.db.Close()
	defer func() { err = errors.Join(err, m.dropSlots(context.WithoutCancel(ctx))) }()
	detail := map[string]any{"machine": machine(ctx, p.servers, ""), "facts": p.Facts, "facts_per_transaction": factsPerTx}
	watch := m.watch(nil)

	bodies, end, err := m.write(ctx, p.Facts)
	if err != nil {
		return Row{}, fmt.Errorf("write the outbox: %w", err)
	}
	detail["bytes_per_fact"] = len(bodies[0].Body)
	if err := m.checkpoint(ctx, m.url); err != nil {
		return Row{}, err
	}
	before := watch.now()
	packed, err := m.drain(ctx, 0)
	if err != nil {
		return Row{}, fmt.Errorf("packed: %w", err)
	}
	detail["cpu_seconds"] = watch.now().since(before)
	bare, err := m.publishBare(ctx, bodies)
	if err != nil {
		return Row{}, fmt.Errorf("bare publisher: %w", err)
	}
	received, err := m.receiveBare(ctx, end)
	if err != nil {
		return Row{}, fmt.Errorf("pg_recvlogical: %w", err)
	}
	if _, _, err := m.write(ctx, p.Facts); err != nil {
		return Row{}, fmt.Errorf("write the outbox: %w", err)
	}
	single, err := m.drain(ctx, 1)
	if err != nil {
		return Row{}, fmt.Errorf("one fact a message: %w", err)
	}
	detail["one_fact_a_message"] = beside(single, bare)
	detail["pg_recvlogical"] = beside(packed, received)
	rate := single / 10
	if detail["latency_ms"], err = m.trickle(ctx, rate); err != nil {
		return Row{}, fmt.Errorf("latency: %w", err)
	}
	detail["latency_at"] = rounded(rate, 0)
	if detail["waiting"], err = m.waiting(ctx); err != nil {
		return Row{}, fmt.Errorf("facts waiting: %w", err)
	}
	return compared(packed, bare, "bare publisher, same bodies, one a message, same confirm window and queue", "facts/s", detail), nil
}

// beside is a rate with what it is measured against.
func beside(ours, reference float64) map[string]float64 {
	return map[string]float64{"ours": rounded(ours, 1), "reference": rounded(reference, 1), "ratio": rounded(ours/reference, 3)}
}

// mailroom makes database, queue and slots, and lets the relay read once, so that it only carries on when it is measured.
func (p *place) mailroom(ctx context.Context, mode relay.Mode) (*mailroom, error) {
	m := &mailroom{place: p, mode: mode}
	var err error
	if m.url, err = p.database(ctx, "outbox"); err != nil {
		return nil, err
	}
	m.cfg = broker.Config{URL: p.servers.RabbitURL(), Log: p.Log, Topology: broker.Topology{Namespace: p.prefix, Queues: map[string][]string{sink: {"#"}}}}
	if err := broker.Declare(ctx, m.cfg); err != nil {
		return nil, err
	}
	if m.db, err = postgres.Open(ctx, m.url, postgres.Options{ApplicationName: "bench"}); err != nil {
		return nil, err
	}
	if _, err := m.db.Exec(ctx, `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, p.prefix+bareSlot); err != nil {
		return nil, err
	}
	r, err := m.start(ctx, 0, m.cfg)
	if err != nil {
		return nil, err
	}
	return m, errors.Join(r.reads(ctx), r.stop())
}

// dropSlots drops what would keep the log for the rows that follow.
func (m *mailroom) dropSlots(ctx context.Context) error {
	_, err := m.db.Exec(ctx, `SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database() AND NOT active`)
	return err
}

// drain lets the relay publish what waits, and gives facts per second from its start to the last confirm.
func (m *mailroom) drain(ctx context.Context, pack int) (float64, error) {
	began := time.Now()
	r, err := m.start(ctx, pack, m.cfg)
	if err != nil {
		return 0, err
	}
	err = r.confirms(ctx, m.Facts)
	took := time.Since(began)
	if err := errors.Join(err, r.stop()); err != nil {
		return 0, err
	}
	return float64(m.Facts) / took.Seconds(), m.empty(ctx, m.Facts)
}

// empty empties the queue, and wants so many facts to have been in it, at least.
func (m *mailroom) empty(ctx context.Context, facts int) error {
	conn, err := amqp.Dial(m.cfg.URL)
	if err != nil {
		return err
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err != nil {
		return err
	}
	if err := ch.Qos(1000, 0, false); err != nil {
		return err
	}
	deliveries, err := ch.ConsumeWithContext(ctx, m.cfg.Topology.Queue(sink), "", false, false, false, false, nil)
	if err != nil {
		return err
	}
	for seen := 0; seen < facts; {
		select {
		case d, ok := <-deliveries:
			if !ok {
				return errors.New("the consumer was cancelled")
			}
			found, err := event.Split(d.Body)
			if err == nil {
				err = d.Ack(false)
			}
			if err != nil {
				return err
			}
			seen += len(found)
		case <-time.After(patience):
			return fmt.Errorf("of %d facts that were confirmed %d were in the queue", facts, seen)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	// Made anew, so that what is measured next does not wait for what this queue has still to do about so many acknowledgements.
	if _, err := ch.QueueDelete(m.cfg.Topology.Queue(sink), false, false, false); err != nil {
		return err
	}
	return broker.Declare(ctx, m.cfg)
}

// away is the broker's configuration with an address where nobody listens.
func (m *mailroom) away() (broker.Config, error) {
	u, err := url.Parse(m.cfg.URL)
	if err != nil {
		return broker.Config{}, err
	}
	cfg := m.cfg
	u.Host = "127.0.0.1:1"
	cfg.URL = u.String()
	return cfg, nil
}

// position is the end of the log.
func (m *mailroom) position(ctx context.Context) (pglogrepl.LSN, error) {
	var at string
	if err := m.db.QueryRow(ctx, `SELECT pg_current_wal_lsn()::text`).Scan(&at); err != nil {
		return 0, err
	}
	return pglogrepl.ParseLSN(at)
}
