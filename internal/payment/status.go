package payment

import (
	"context"
	"fmt"
	"time"
)

// Status is what is under way, for operators.
type Status struct {
	Pending   int64      `json:"pending"`
	Unknown   int64      `json:"unknown"`
	Refunding int64      `json:"refunding"`
	Forgotten int64      `json:"forgotten"`              // of these: asked for too long ago to be sent again; a person must see to them
	Oldest    *time.Time `json:"oldest_since,omitempty"` // since when the oldest of these is under way; absent: nothing is
}

const statusSQL = `
	SELECT count(*) FILTER (WHERE state = 'PENDING'), count(*) FILTER (WHERE state = 'UNKNOWN'), count(*) FILTER (WHERE state = 'REFUNDING'),
	       count(*) FILTER (WHERE coalesce(refund_attempted_at, attempted_at) <= now() - $1 * interval '1 millisecond' AND (state <> 'REFUNDING' OR refund_attempted_at IS NOT NULL)),
	       min(created_at)
	FROM payment.payments WHERE due_at IS NOT NULL`

// Status counts the payments that are under way.
func (c *Charger) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.db.QueryRow(ctx, statusSQL, c.options.KeyMemory.Milliseconds()).Scan(&s.Pending, &s.Unknown, &s.Refunding, &s.Forgotten, &s.Oldest)
	if err != nil {
		return Status{}, fmt.Errorf("payment status: %w", err)
	}
	return s, nil
}
