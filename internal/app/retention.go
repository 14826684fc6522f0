package app

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/lease"
	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	retentionInterval = 10 * time.Minute // between two looks for rows that have had their time
	retentionAgain    = time.Minute      // after a look that failed
)

// retentionMetrics tell what ended, and that something could not.
type retentionMetrics struct{ rows, failures *prometheus.CounterVec }

func newRetentionMetrics(registry prometheus.Registerer) retentionMetrics {
	m := retentionMetrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_retention_rows_total", Help: "Rows that were deleted since their time was over, by what they tell of.",
		}, []string{"of"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_retention_failures_total", Help: "Times that rows whose time was over could not be deleted, by what they tell of.",
		}, []string{"of"}),
	}
	registry.MustRegister(m.rows, m.failures)
	return m
}

// keepRetention ends rows that have had their time, until ctx ends.
func (s *server) keepRetention(ctx context.Context) error {
	for {
		pause := retentionInterval
		if err := s.endRows(ctx); err != nil {
			if lease.Over(err) {
				return err
			}
			if ctx.Err() == nil {
				s.log.WarnContext(ctx, "rows that have had their time stay for now", "error", err)
			}
			pause = retentionAgain
		}
		if run.Pause(ctx, pause) != nil {
			return nil
		}
	}
}

// endRows ends what has had its time now, as docs/retention.md tells. What cannot be ended does not keep the rest.
func (s *server) endRows(ctx context.Context) error {
	var all error
	for _, rows := range []struct {
		of  string
		end func(context.Context) (int64, error)
	}{
		{"dead letters", func(ctx context.Context) (int64, error) {
			letters := s.cfg.DeadLetterRetention
			return s.letters.Clean(ctx, letters, max(letters, s.cfg.OutboxRetention+partitionSlack))
		}},
		{"hearings", func(ctx context.Context) (int64, error) {
			return inbox.Alone{DB: s.db}.Clean(ctx, s.cfg.InboxRetention)
		}},
		{"calls to the provider", func(ctx context.Context) (int64, error) {
			return s.modules.payment.ForgetAttempts(ctx, s.cfg.InboxRetention)
		}},
		{"reconciliations", s.repairs.ForgetRuns},
	} {
		n, err := rows.end(ctx)
		s.retention.rows.WithLabelValues(rows.of).Add(float64(n))
		if err != nil {
			s.retention.failures.WithLabelValues(rows.of).Inc()
			all = errors.Join(all, err)
		}
	}
	return all
}
