package app

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-checkout/holdfast/internal/outbox"
	"github.com/holdfast-checkout/holdfast/internal/web"
)

// littleAhead is how far the partitions reach at least while they are looked after.
const littleAhead = 2 * 24 * time.Hour

// newPartitionsAhead is the metric that tells in time that nobody makes partitions.
func newPartitionsAhead(registry prometheus.Registerer) *prometheus.GaugeVec {
	ahead := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "holdfast_partitions_ahead_seconds", Help: "How long the partitions of outbox and inboxes last from now on, when /readyz was last asked.",
	}, []string{"table"})
	registry.MustRegister(ahead)
	return ahead
}

// checkPartitions is not ready while there is no place for facts of now, and notes that there soon will be none.
func (s *server) checkPartitions(ctx context.Context) error {
	reach, now, err := outbox.ReadReach(ctx, s.db)
	if err != nil {
		return err
	}
	var note error
	for table, until := range map[string]time.Time{"outbox": reach.Outbox, "inbox": reach.Inbox} {
		ahead := until.Sub(now)
		s.partitionsAhead.WithLabelValues(table).Set(max(ahead, 0).Seconds())
		switch {
		case ahead <= 0:
			return fmt.Errorf("there is no partition of shared.%s for now: nothing can be sold", table)
		case ahead < littleAhead:
			note = fmt.Errorf("the partitions of shared.%s last until %s only: they are not being made", table, until.UTC().Format(time.RFC3339))
		}
	}
	return web.Note(note)
}
