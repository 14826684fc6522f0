package broker

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/holdfast-checkout/holdfast/internal/event"
)

// shown bounds the ids in one line of the log.
const shown = 5

// tell counts a batch that went through and writes its line.
func (s *hearing) tell(ctx context.Context, facts []event.Fact, took time.Duration) {
	s.m.heard.WithLabelValues(s.sub.Queue).Add(float64(len(facts)))
	s.tally.heard.Add(int64(len(facts)))
	s.m.batchFacts.WithLabelValues(s.sub.Queue).Observe(float64(len(facts)))
	s.m.batchSecond.WithLabelValues(s.sub.Queue).Observe(took.Seconds())
	if !s.log.Enabled(ctx, slog.LevelInfo) {
		return
	}
	names := map[event.Name]int{}
	var orders []uuid.UUID
	for _, f := range facts {
		names[f.Name]++
		if f.OrderID != uuid.Nil && len(orders) < shown && !slices.Contains(orders, f.OrderID) {
			orders = append(orders, f.OrderID)
		}
	}
	s.log.Info("heard", "facts", len(facts), "names", names, "orders", orders, "first", facts[0].ID, "ms", took.Milliseconds())
}
