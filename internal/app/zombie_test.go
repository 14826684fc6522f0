package app

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/saga"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// Every write of the work that one instance does at a time is refused once its term is over, whatever there is to do.
func TestScheduledWorkOfAZombie(t *testing.T) {
	t.Parallel()
	s := newStage(t, saga.Optimistic)
	term, err := s.lease.Seize(t.Context(), "work")
	if err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(context.Context) error{
		"overdue orders": func(ctx context.Context) error { _, err := s.modules.order.TimeOut(ctx, 10); return err },
		"expired keys":   func(ctx context.Context) error { _, err := s.modules.order.ForgetKeys(ctx, 10); return err },
		"expired carts":  s.modules.cart.Sweep,
		"old rows":       s.endRows,
		"partitions": func(ctx context.Context) error {
			_, err := outbox.KeepPartitions(ctx, s.db, outbox.Keep{Outbox: 24 * time.Hour, Inbox: 7 * 24 * time.Hour})
			return err
		},
	} {
		ctx := lease.WithTerm(t.Context(), term)
		if err := write(ctx); err != nil {
			t.Errorf("%s, by the leader: %v", name, err)
		}
		if term, err = lease.New(s.db, s.log, "another", 0).Seize(t.Context(), "work"); err != nil {
			t.Fatal(err)
		}
		if err := write(ctx); !lease.Over(err) {
			t.Errorf("%s, by a leader whose term is over: %v", name, err)
		}
	}
}

// The parts that one instance does at a time are held by one of two instances each, and their leaders are shown.
func TestScheduledWorkHasOneLeader(t *testing.T) {
	t.Parallel()
	s := newStage(t, saga.Optimistic)
	s.cfg.SweepInterval, s.cfg.OutboxRetention, s.cfg.InboxRetention, s.cfg.ReconcileInterval = time.Hour, time.Hour, time.Hour, 0
	second := *s.server
	second.lease = lease.New(s.db, s.log, "second", 0)
	names := []string{"cart sweeper", "hold sweeper", "order clock", "partitions", "retention"}
	for _, one := range []*server{s.server, &second} {
		for _, part := range one.background() {
			if slices.Contains(names, part.Name) {
				inBackground(t, part.Run)
			}
		}
	}
	testkit.Eventually(t, 3*time.Minute, func() bool {
		held, err := lease.List(t.Context(), s.db)
		if err != nil {
			t.Fatal(err)
		}
		live := map[string]bool{}
		for _, h := range held {
			live[h.Name] = h.Live
		}
		for _, name := range names {
			if !live[name] {
				return false
			}
		}
		return true
	})
}
