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

// partitionInterval is how often the partitions of outbox and inboxes are looked after: they are made days ahead. What others have
// kept from being dropped is tried again after a minute.
const partitionInterval = 10 * time.Minute

// partitionSlack is how much longer than its retention the outbox keeps a fact, since partitions go as a whole: for so long a
// fact that was given up must not be taken for one that was lost.
const partitionSlack = 24 * time.Hour

// background is everything that works without being asked.
func (s *server) background() []run.Part {
	sweeper := inventory.NewSweeper(s.redis, s.scripts, s.keys, s.cfg.SweepInterval, s.log)
	sweeper.Doubt = s.repairs.Doubt
	parts := []run.Part{
		{Name: "clocks", Run: s.followClocks},
		{Name: "publisher", Run: s.publisher.Run},
		{Name: "relay", Run: s.relay.Run},
		{Name: "refill", Run: s.refills.Run},
		{Name: "facts of other versions", Run: s.rollout.Run},
		{Name: "dead letters", Run: broker.NewUndertaker(s.broker, s.letters.Keep).Run},
		{Name: "strays", Run: broker.NewStrayKeeper(s.broker, s.letters.Keep).Run},
		{Name: "dead letters, counted", Run: s.letters.Run},
		{Name: "charger", Run: s.modules.charger.Run},
		{Name: "payments, counted", Run: s.countPayments},
		{Name: "orders in requests", Run: s.modules.course.Run},
		{Name: "order watchers", Run: s.modules.order.Run},
		s.led("order clock", s.modules.order.Clock),
		s.led("hold refresher", s.modules.order.KeepHolds),
		s.led("hold sweeper", sweeper.Run),
		s.led("cart sweeper", cart.NewSweeper(s.modules.cart, s.cfg.SweepInterval).Run),
		s.led("partitions", s.keepPartitions),
		s.led("retention", s.keepRetention),
		{Name: "redis memory", Run: s.memory.Run},
	}
	if s.cfg.OrphanInterval > 0 {
		parts = append(parts, s.led("orphan hunt", s.modules.hunters.Run))
	}
	if s.cfg.ArchiveAfter > 0 {
		parts = append(parts, s.led("archive", s.keepArchive))
	}
	if s.cfg.ReconcileInterval > 0 {
		parts = append(parts, run.Part{Name: "reconciler", Run: s.repairs.Run})
	}
	return parts
}

// led is a part that one instance does at a time, by lease. What it writes to Postgres is fenced by its term; what it writes
// to Redis it writes by scripts that a late second writer cannot harm.
func (s *server) led(name string, work func(context.Context) error) run.Part {
	return run.Part{Name: name, Run: func(ctx context.Context) error {
		return s.lease.Run(ctx, name, func(ctx context.Context, _ lease.Term) error { return work(ctx) })
	}}
}

// keepPartitions makes and drops partitions, until ctx ends.
func (s *server) keepPartitions(ctx context.Context) error {
	for {
		left, err := outbox.KeepPartitions(ctx, s.db, s.cfg.OutboxRetention, s.cfg.InboxRetention)
		if err != nil {
			return err
		}
		pause := partitionInterval
		if left != nil {
			pause = time.Minute
			s.log.InfoContext(ctx, "partitions that have had their time are kept by open transactions", "left", len(left), "first", left[0])
		}
		if err := s.checkPartitions(ctx); err != nil { // for its metric, which nobody may ask for
			s.log.WarnContext(ctx, "partitions", "error", err)
		}
		if run.Pause(ctx, pause) != nil {
			return nil
		}
	}
}
