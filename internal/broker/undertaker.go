package broker

import (
	"context"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Undertaker empties the queue of dead letters into wherever keep puts them.
type Undertaker struct {
	cfg  Config
	log  *slog.Logger
	keep func(context.Context, []DeadLetter) error
}

// NewUndertaker makes one. keep must be repeatable; while it fails the letters stay in their queue. It does nothing until
// Run.
func NewUndertaker(cfg Config, keep func(context.Context, []DeadLetter) error) *Undertaker {
	return &Undertaker{cfg: cfg, log: cfg.Log.With("part", "undertaker"), keep: keep}
}

// Run works until ctx ends.
func (u *Undertaker) Run(ctx context.Context) error {
	lost := u.cfg.metrics().reconnects.WithLabelValues("undertaker").Inc
	supervise(ctx, u.log, lost, u.session)
	return nil
}

func (u *Undertaker) session(ctx context.Context, up func()) error {
	const prefetch = 64
	in, err := openInflow(ctx, u.cfg, u.cfg.Topology.Dead(), prefetch, func(ch *amqp.Channel) error {
		return declareExchanges(ch, u.cfg.Topology)
	})
	if err != nil {
		return err
	}
	defer in.close()
	up()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
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
	return u.keep(ctx, readDeadLetters(u.cfg.Topology, d))
}
