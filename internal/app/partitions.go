package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/run"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

const (
	// partitionInterval is how often the partitions of outbox and inboxes are looked after: they are made days ahead. What others have
	// kept from being dropped, and what failed, is tried again after partitionAgain.
	partitionInterval = 10 * time.Minute
	partitionAgain    = time.Minute
	partitionLook     = 5 * time.Second    // between two looks at what there is
	littleAhead       = 2 * 24 * time.Hour // how far they reach at least while they are looked after
)

// partitions tell in time that nobody makes them, and what cannot go.
type partitions struct {
	ahead, left, since, readBy *prometheus.GaugeVec // by table
	failures                   prometheus.Counter
	failed                     atomic.Pointer[error] // of the last turn, while this instance turns them
}

func newPartitions(registry prometheus.Registerer) *partitions {
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "holdfast", Subsystem: "partitions", Name: name, Help: help}, append([]string{"table"}, labels...))
	}
	p := &partitions{
		ahead:  gauge("ahead_seconds", "How long the partitions of outbox and inboxes last from now on."),
		left:   gauge("left", "Partitions that are still there though their time is over."),
		since:  gauge("left_seconds", "How long the time of the oldest of them has been over."),
		readBy: gauge("read_by", "1 for the open transaction for which the oldest of them waits.", "pid", "gid"),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_partitions_failures_total", Help: "Times that partitions could not be made or dropped for another reason than readers of them.",
		}),
	}
	registry.MustRegister(p.ahead, p.left, p.since, p.readBy, p.failures)
	return p
}

func (s *server) keptPartitions() outbox.Keep {
	return outbox.Keep{Outbox: s.cfg.OutboxRetention, Inbox: s.cfg.InboxRetention}
}

// keepPartitions makes and drops partitions, until ctx ends.
func (s *server) keepPartitions(ctx context.Context) error {
	defer s.partitions.failed.Store(nil)
	for {
		pause := partitionInterval
		left, err := outbox.KeepPartitions(ctx, s.db, s.keptPartitions())
		if lease.Over(err) || ctx.Err() != nil {
			return err
		}
		s.partitions.failed.Store(nil)
		if err != nil {
			pause = partitionAgain
			s.partitions.failed.Store(&err)
			s.partitions.failures.Inc()
			s.log.WarnContext(ctx, "partitions could not be made or dropped", "error", err)
		}
		if left != nil {
			pause = partitionAgain
			s.log.InfoContext(ctx, "partitions that have had their time are kept by open transactions", "left", len(left), "first", left[0])
		}
		if run.Pause(ctx, pause) != nil {
			return nil
		}
	}
}

// watchPartitions keeps the gauges fresh on every instance, and says which transaction keeps a partition, once.
func (s *server) watchPartitions(ctx context.Context) error {
	told := map[string]outbox.Reader{}
	for run.Pause(ctx, partitionLook) == nil {
		_, _ = s.lookAtReach(ctx) // whoever asks for readiness is told what is wrong
		inner, cancel := context.WithTimeout(ctx, partitionLook)
		left, err := s.lookAtLeft(inner)
		cancel()
		if err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "it was not seen which partitions are left", "error", err)
		}
		for _, l := range left {
			if r := l.Reader; r != nil && (r.PID != told[l.Table].PID || r.GID != told[l.Table].GID) {
				told[l.Table] = *r
				s.log.WarnContext(ctx, "an open transaction keeps a partition whose time is over", "partition", l.Oldest, "over", l.Since, "state", l.State,
					"pid", r.PID, "gid", r.GID, "application", r.Application, "since", r.Since)
			}
		}
	}
	return nil
}

// lookAtReach sees how far the partitions reach: how long each table's last from now on.
func (s *server) lookAtReach(ctx context.Context) (outbox.Reach, error) {
	reach, now, err := outbox.ReadReach(ctx, s.db)
	if err != nil {
		return reach, err
	}
	var note error
	for table, until := range map[string]time.Time{"outbox": reach.Outbox, "inbox": reach.Inbox} {
		ahead := until.Sub(now)
		s.partitions.ahead.WithLabelValues(table).Set(max(ahead, 0).Seconds())
		switch {
		case ahead <= 0:
			return reach, fmt.Errorf("there is no partition of shared.%s for now: nothing can be sold", table)
		case ahead < littleAhead:
			note = fmt.Errorf("the partitions of shared.%s last until %s only: they are not being made", table, until.UTC().Format(time.RFC3339))
		}
	}
	return reach, web.Note(note)
}

// lookAtLeft sees what is still there though its time is over.
func (s *server) lookAtLeft(ctx context.Context) ([]outbox.Left, error) {
	left, now, err := outbox.ReadLeft(ctx, s.db, s.keptPartitions())
	if err != nil {
		return nil, err
	}
	s.partitions.readBy.Reset()
	for _, t := range []string{"outbox", "inbox"} {
		s.partitions.left.WithLabelValues(t).Set(0)
		s.partitions.since.WithLabelValues(t).Set(0)
	}
	for _, l := range left {
		s.partitions.left.WithLabelValues(l.Table).Set(float64(l.Partitions))
		s.partitions.since.WithLabelValues(l.Table).Set(now.Sub(l.Since).Seconds())
		if l.Reader != nil {
			s.partitions.readBy.WithLabelValues(l.Table, strconv.Itoa(int(l.Reader.PID)), l.Reader.GID).Set(1)
		}
	}
	return left, nil
}

// checkPartitions is not ready while there is no place for facts of now. It notes that there soon will be none, and that turning them fails.
func (s *server) checkPartitions(ctx context.Context) error {
	_, err := s.lookAtReach(ctx)
	noted := web.Noted{}
	if err != nil && !errors.As(err, &noted) {
		return err
	}
	if failed := s.partitions.failed.Load(); failed != nil {
		return web.Note(errors.Join(err, *failed))
	}
	return err
}
