package broker

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Undertaker empties a queue in which messages end that no module has taken, into wherever they are kept.
type Undertaker struct {
	cfg    Config
	log    *slog.Logger
	source *source
	read   func(context.Context, amqp.Delivery) ([]DeadLetter, error)
	keep   func(context.Context, []DeadLetter) error
}

// NewUndertaker makes one for the queue of dead letters. keep must be repeatable; while it fails the letters stay in their
// queue. It does nothing until Run.
func NewUndertaker(cfg Config, keep func(context.Context, []DeadLetter) error) *Undertaker {
	read := func(_ context.Context, d amqp.Delivery) ([]DeadLetter, error) {
		return readDeadLetters(cfg.Topology, d), nil
	}
	return newUndertaker(cfg, "undertaker", cfg.Topology.Dead(), read, keep)
}

// ModuleUnrouted stands for the module of dead letters that no queue was bound to.
const ModuleUnrouted = "unrouted"

var errNobodyBound = errors.New("no queue is bound to its routing key")

// NewStrayKeeper makes one for the queue of what no queue was bound to. What a module should have had is told to the Config's
// Anew, as what was lost with its queue: the outbox has it. What no queue needs to have is let go; the rest becomes dead letters.
func NewStrayKeeper(cfg Config, keep func(context.Context, []DeadLetter) error) *Undertaker {
	read := func(ctx context.Context, d amqp.Delivery) ([]DeadLetter, error) { return readStray(ctx, cfg, d) }
	return newUndertaker(cfg, "stray keeper", cfg.Topology.Unrouted(), read, keep)
}

func newUndertaker(cfg Config, part, queue string, read func(context.Context, amqp.Delivery) ([]DeadLetter, error), keep func(context.Context, []DeadLetter) error) *Undertaker {
	s := &source{cfg: cfg, queue: queue, prefetch: 64, declare: func(l *link) error { return l.declareFor(cfg) }}
	return &Undertaker{cfg: cfg, log: cfg.Log.With("part", part), source: s, read: read, keep: keep}
}

func readStray(ctx context.Context, cfg Config, d amqp.Delivery) ([]DeadLetter, error) {
	if slices.Contains(cfg.Topology.Quiet, d.RoutingKey) {
		return nil, nil
	}
	cfg.metrics().strays.Inc()
	bound := false
	for module, keys := range cfg.Topology.Queues {
		if cfg.Anew != nil && slices.Contains(keys, d.RoutingKey) {
			cfg.Anew(cfg.Topology.Queue(module))
			bound = true
		}
	}
	if bound {
		return nil, nil
	}
	if known, err := strayOfOthers(ctx, cfg, d.RoutingKey); known || err != nil {
		return nil, err
	}
	var all []DeadLetter
	for _, part := range split(d.Body) {
		all = append(all, NewDeadLetter(ModuleUnrouted, d.RoutingKey, ReasonPermanent, part, errNobodyBound))
	}
	return all, nil
}

// strayOfOthers sees to what another version says: a module that it binds to the key has lost it with its queue, or never had it.
func strayOfOthers(ctx context.Context, cfg Config, key string) (known bool, err error) {
	if cfg.Bound == nil {
		return false, nil
	}
	modules, known, err := cfg.Bound(ctx, key)
	for _, module := range modules {
		if cfg.Anew != nil && known {
			cfg.Anew(cfg.Topology.Queue(module))
		}
	}
	return known, err
}

// Run works until ctx ends.
func (u *Undertaker) Run(ctx context.Context) error {
	lost := u.cfg.metrics().reconnects.WithLabelValues("undertaker of " + u.source.queue).Inc
	supervise(ctx, u.log, lost, u.session)
	return nil
}

func (u *Undertaker) session(ctx context.Context, up func()) error {
	in, err := u.source.open(ctx)
	if err != nil {
		return err
	}
	defer in.close()
	up()
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-look.C:
			if err := in.subscribed(ctx, u.source.queue); err != nil {
				return err
			}
		case d, ok := <-in.buffered:
			if !ok {
				return in.lost()
			}
			if err := u.take(ctx, d); err != nil {
				return err
			}
			_ = d.Ack(false)
		}
	}
}

// take keeps one message's dead letters. A failure ends the connection, so that the back-off of the supervisor applies.
func (u *Undertaker) take(ctx context.Context, d amqp.Delivery) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	letters, err := u.read(ctx, d)
	if len(letters) == 0 || err != nil {
		return err
	}
	return u.keep(ctx, letters)
}
