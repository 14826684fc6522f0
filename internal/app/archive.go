package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/payment"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

// archiveLease is held by who moves orders to the archive, whether that is an instance or the command.
const archiveLease = "archive"

// archiveInterval is how often it is looked for orders that are old enough.
const archiveInterval = time.Hour

// Archive moves orders that ended long ago to the archive, in one run, once nobody else does.
func Archive(ctx context.Context, postgresURL string, o archive.Options) (result archive.Result, err error) {
	db, _, err := openBooks(ctx, postgresURL, archiveConnections)
	if err != nil {
		return result, err
	}
	defer db.Close()
	if o.DryRun {
		return archive.Run(ctx, db, o)
	}
	err = once(ctx, db, o.Log, func(ctx context.Context) (err error) {
		result, err = archive.Run(ctx, db, o)
		return err
	})
	return result, err
}

var archiveConnections = postgres.Options{MaxConns: 4, StatementTimeout: time.Minute, ApplicationName: "holdfast archive"}

// once does work that is led, one time: as soon as the lease is free.
func once(ctx context.Context, db *postgres.DB, log *slog.Logger, work func(context.Context) error) error {
	host, _ := os.Hostname() // for people
	contender := lease.New(db, log, fmt.Sprintf("%s/%d/%s", host, os.Getpid(), uuid.NewString()[:8]), 0)
	contending, done := context.WithCancel(ctx)
	defer done()
	var failed error
	err := contender.Run(contending, archiveLease, func(ctx context.Context, _ lease.Term) error {
		defer done()
		failed = work(ctx)
		return failed
	})
	if err == nil && failed == nil {
		err = ctx.Err() // nobody came to do it
	}
	if failed != nil {
		return failed
	}
	return err
}

// RestoreOrder brings an order back from the archive.
func RestoreOrder(ctx context.Context, postgresURL string, order uuid.UUID) error {
	db, _, err := openBooks(ctx, postgresURL, archiveConnections)
	if err != nil {
		return err
	}
	defer db.Close()
	return archive.Restore(ctx, db, order)
}

// archiveMetrics tell of the instance that moves orders to the archive, as of its last run.
type archiveMetrics struct {
	kept *prometheus.GaugeVec // why
	ran  prometheus.Gauge
}

func newArchiveMetrics(registry prometheus.Registerer) archiveMetrics {
	m := archiveMetrics{
		kept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "holdfast_archive_kept", Help: "Orders that are old enough to be archived and stay, by the reason; on the instance that archives.",
		}, []string{"why"}),
		ran: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "holdfast_archive_last_run_timestamp_seconds", Help: "When orders were last moved to the archive by this instance to the end of a run; 0: never.",
		}),
	}
	registry.MustRegister(m.kept, m.ran)
	return m
}

// note notes what a run came to.
func (m archiveMetrics) note(r archive.Result) {
	m.ran.SetToCurrentTime()
	m.kept.Reset()
	for why, n := range r.Kept {
		m.kept.WithLabelValues(why).Set(float64(n))
	}
}

// keepArchive moves orders to the archive every hour, until ctx ends.
func (s *server) keepArchive(ctx context.Context) error {
	defer s.archive.kept.Reset()
	for {
		result, err := archive.Run(ctx, s.db, archive.Options{OlderThan: s.cfg.ArchiveAfter, Log: s.log})
		s.retention.rows.WithLabelValues("archived orders").Add(float64(result.Moved))
		pause := archiveInterval
		if err != nil {
			if lease.Over(err) {
				return err
			}
			if ctx.Err() == nil {
				s.retention.failures.WithLabelValues("archived orders").Inc()
				s.log.WarnContext(ctx, "orders that ended long ago stay for now", "error", err)
			}
			pause = retentionAgain
		} else if s.archive.note(result); len(result.Kept) > 0 {
			s.log.WarnContext(ctx, "orders that are old enough to be archived are kept", "why", result.Kept)
		}
		if run.Pause(ctx, pause) != nil {
			return nil
		}
	}
}

// bringBack restores an archived order whose refund has failed at the provider.
func (s *server) bringBack(ctx context.Context, order uuid.UUID) error {
	err := archive.Restore(ctx, s.db, order)
	if errors.Is(err, archive.ErrGone) {
		return fmt.Errorf("%w: %w", payment.ErrNotBack, err)
	}
	if errors.Is(err, archive.ErrNotArchived) { // by somebody else, just now
		return nil
	}
	if err == nil {
		s.log.WarnContext(ctx, "an archived order was brought back, for its refund has failed", "order_id", order)
	}
	return err
}
