package app

import (
	"context"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// partitionInterval is how often the partitions of outbox and inboxes are looked after: they are made days ahead.
const partitionInterval = 10 * time.Minute

// background is everything that works without being asked.
func (s *server) background() []run.Part {
	parts := []run.Part{
		{Name: "publisher", Run: s.publisher.Run},
		{Name: "relay", Run: s.relay.Run},
		{Name: "refill", Run: s.refills.Run},
		{Name: "dead letters", Run: broker.NewUndertaker(s.broker, s.letters.Keep).Run},
		{Name: "strays", Run: broker.NewStrayKeeper(s.broker, s.letters.Keep).Run},
		{Name: "dead letters, counted", Run: s.letters.Run},
		{Name: "charger", Run: s.modules.charger.Run},
		{Name: "order clock", Run: s.modules.order.Run},
		{Name: "hold sweeper", Run: inventory.NewSweeper(s.redis, s.scripts, s.keys, s.cfg.SweepInterval, s.log).Run},
		{Name: "cart sweeper", Run: cart.NewSweeper(s.modules.cart, s.cfg.SweepInterval).Run},
		{Name: "partitions", Run: s.keepPartitions},
		{Name: "redis memory", Run: s.memory.Run},
	}
	if s.cfg.ReconcileInterval > 0 {
		parts = append(parts, run.Part{Name: "reconciler", Run: s.repairs.Run})
	}
	return parts
}

// keepPartitions makes and drops partitions, on one instance at a time.
func (s *server) keepPartitions(ctx context.Context) error {
	return s.lease.Run(ctx, "partitions", func(ctx context.Context, _ lease.Term) error {
		tick := time.NewTicker(partitionInterval)
		defer tick.Stop()
		for {
			if err := outbox.KeepPartitions(ctx, s.db, s.cfg.OutboxRetention, s.cfg.InboxRetention); err != nil {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return nil
			}
		}
	})
}
