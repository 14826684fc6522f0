package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
)

// Status counts letters, for operators.
type Status struct {
	Open       int64      `json:"open"`                  // nobody has replayed them
	Quarantine int64      `json:"quarantine"`            // of these: a module may never take them, like facts older than its inbox
	Replayed   int64      `json:"replayed"`              // gone back to their modules
	OldestOpen *time.Time `json:"oldest_open,omitempty"` // when the oldest open one died
}

// Status asks the database.
func (l *Letters) Status(ctx context.Context) (Status, error) {
	var s Status
	err := l.db.QueryRow(ctx, `
		SELECT count(*), count(*) FILTER (WHERE reason = $1), (SELECT count(*) FROM shared.dead_letters WHERE replayed_at IS NOT NULL), min(at)
		FROM shared.dead_letters WHERE replayed_at IS NULL`, broker.ReasonPermanent).Scan(&s.Open, &s.Quarantine, &s.Replayed, &s.OldestOpen)
	if err != nil {
		return s, fmt.Errorf("count dead letters: %w", err)
	}
	if s.OldestOpen != nil {
		utc := s.OldestOpen.UTC()
		s.OldestOpen = &utc
	}
	return s, nil
}

// measureEvery is how often the gauge is set.
const measureEvery = 10 * time.Second

// Run keeps the gauge of open letters fresh until ctx ends.
func (l *Letters) Run(ctx context.Context) error {
	tick := time.NewTicker(measureEvery)
	defer tick.Stop()
	for {
		if err := l.measure(ctx); err != nil && ctx.Err() == nil {
			l.log.WarnContext(ctx, "dead letters not counted", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

func (l *Letters) measure(ctx context.Context) error {
	rows, err := l.db.Query(ctx, `SELECT module, reason, count(*) FROM shared.dead_letters WHERE replayed_at IS NULL GROUP BY 1, 2`)
	if err != nil {
		return err
	}
	l.open.Reset()
	var module, reason string
	var n float64
	_, err = pgx.ForEachRow(rows, []any{&module, &reason, &n}, func() error {
		l.open.WithLabelValues(module, reason).Set(n)
		return nil
	})
	return err
}
