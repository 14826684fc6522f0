package app

import (
	"context"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/cart"
	"github.com/holdfast-checkout/holdfast/internal/inventory"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

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
		{Name: "partitions, looked at", Run: s.watchPartitions},
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
