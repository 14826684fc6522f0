package rollout

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// Waiting counts facts of one row that wait for an instance whose version has it.
type Waiting struct {
	Module string    `json:"module" validate:"required" example:"inventory"`
	Key    string    `json:"key" validate:"required" example:"optimistic.order.created"` // the row: strategy and name
	Facts  int64     `json:"facts" validate:"required"`
	Since  time.Time `json:"since" validate:"required"` // of the oldest
} //	@name	WaitingFacts

// Status gives what waits, by module and row.
func (r *Rollout) Status(ctx context.Context) ([]Waiting, error) {
	rows, err := r.DB.Query(ctx, `
		SELECT module, key, count(*), min(since) FROM shared.waiting_facts GROUP BY module, key ORDER BY module, key`)
	if err != nil {
		return nil, fmt.Errorf("count facts that wait for another version: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Waiting])
	if err != nil {
		return nil, fmt.Errorf("count facts that wait for another version: %w", err)
	}
	for i := range list {
		list[i].Since = list[i].Since.UTC()
	}
	return list, nil
}

func (r *Rollout) measure(ctx context.Context) error {
	list, err := r.Status(ctx)
	if err != nil {
		return err
	}
	r.waiting.Reset()
	for _, w := range list {
		r.waiting.WithLabelValues(w.Module, w.Key).Set(float64(w.Facts))
	}
	return nil
}
