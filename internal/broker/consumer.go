package broker

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// Subscription says who hears a queue and how.
type Subscription struct {
	Module string // who hears
	Queue  string // the queue's name in the topology; "" means the module's own
	Batch  int    // a batch takes what is waiting until it has this many facts; 0 means 64

	// Handle takes a whole batch: all of it has happened, or, when it returns an error, nothing. It must be right however
	// often and in whatever order facts come. Its context ends with the consumer or after Timeout.
	Handle func(ctx context.Context, facts []event.Fact) error

	// Knows says whether this program can hand a fact to anybody; nil: all. What it cannot, because another version said it or
	// bound its queue, goes to PutBy, which has stored it when it returns.
	Knows func(event.Fact) bool
	PutBy func(ctx context.Context, module string, facts []Unknown) error

	Permanent func(error) bool // errors that no further attempt can heal; nil: none
	// MayAppear reports whether what a fact is about, and was not found by the first and the last attempt at it, may still appear.
	// Such an attempt does not count, and the fact waits. nil: it never does.
	MayAppear func(first, last error) bool

	Outage   func(error) bool // errors of something that is down for everybody, besides those that Outage knows
	Timeout  time.Duration    // for one call of Handle; 0 means 30 s
	Attempts int              // at a fact alone before it is a dead letter; 0 means 8
}

func (s Subscription) withDefaults() Subscription {
	if s.Queue == "" {
		s.Queue = s.Module
	}
	if s.Batch <= 0 {
		s.Batch = 64
	}
	if s.Timeout <= 0 {
		s.Timeout = 30 * time.Second
	}
	if s.Attempts <= 0 {
		s.Attempts = 8
	}
	return s
}

// Consumer hands a module what its queue holds. A batch that fails is taken apart, and each fact alone; a fact that fails
// alone is tried again while others pass it, and becomes a dead letter in the end. While something is down for everybody
// the consumer holds what it has and waits.
type Consumer struct {
	cfg       Config
	sub       Subscription
	log       *slog.Logger
	source    *source
	publisher *Publisher             // of dead letters
	failures  map[uuid.UUID]*failure // of facts that have failed alone; they outlive a connection
	passed    int                    // batches that went through, to tell a slow fact from a slow world
}

// NewConsumer makes a consumer, whose dead letters go out through publisher. It does nothing until Run.
func NewConsumer(cfg Config, publisher *Publisher, sub Subscription) *Consumer {
	sub = sub.withDefaults()
	return &Consumer{
		cfg: cfg, sub: sub, publisher: publisher,
		source: &source{cfg: cfg, queue: cfg.Topology.Queue(sub.Queue), prefetch: 4 * sub.Batch, declare: func(l *link) error { return l.declareFor(cfg, sub.Queue) }},
		log:    cfg.Log.With("part", "consumer", "module", sub.Queue), failures: map[uuid.UUID]*failure{},
	}
}

// Run consumes until ctx ends. What was not finished by then goes back to the queue.
func (c *Consumer) Run(ctx context.Context) error {
	lost := c.cfg.metrics().reconnects.WithLabelValues("consumer " + c.sub.Queue).Inc
	supervise(ctx, c.log, lost, c.session)
	return nil
}

// session consumes over one connection until it fails or ctx ends.
func (c *Consumer) session(ctx context.Context, up func()) error {
	in, err := c.source.open(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	up()
	m := c.cfg.metrics()
	s := &hearing{Consumer: c, inflow: in, m: m, tally: m.module(c.sub.Queue)}
	return s.work(ctx)
}
