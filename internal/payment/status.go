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
	Forgotten int64      `json:"forgotten"`              // charges asked for too long ago to be sent again, of orders that want them: they are looked up until the order ends
	Failing   int64      `json:"failing"`                // of all these: the provider was last asked without learning the outcome
	Oldest    *time.Time `json:"oldest_since,omitempty"` // since when the oldest of these is under way; absent: nothing is
}

const statusSQL = `
	SELECT count(*) FILTER (WHERE state = 'PENDING'), count(*) FILTER (WHERE state = 'UNKNOWN'), count(*) FILTER (WHERE state = 'REFUNDING'),
	       count(*) FILTER (WHERE attempted_at <= now() - $1 * interval '1 millisecond' AND state <> 'REFUNDING' AND undo_cause IS NULL),
	       count(*) FILTER (WHERE last_error <> ''),
	       min(created_at)
	FROM payment.payments WHERE due_at IS NOT NULL`

// Status counts the payments that are under way.
func (c *Charger) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.db.QueryRow(ctx, statusSQL, c.options.KeyMemory.Milliseconds()).Scan(&s.Pending, &s.Unknown, &s.Refunding, &s.Forgotten, &s.Failing, &s.Oldest)
	if err != nil {
		return Status{}, fmt.Errorf("payment status: %w", err)
	}
	return s, nil
}
