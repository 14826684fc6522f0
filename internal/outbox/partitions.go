package outbox

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// KeepPartitions makes the partitions of outbox and inboxes that the next days need, and drops those that lie wholly before
// the retentions. Of the outbox nothing goes that the relay has not published.
func KeepPartitions(ctx context.Context, db *postgres.DB, outboxRetention, inboxRetention time.Duration) error {
	if _, err := db.Exec(ctx, `SELECT shared.make_partitions()`); err != nil {
		return fmt.Errorf("make partitions: %w", err)
	}
	_, err := db.Exec(ctx, `SELECT shared.drop_partitions(now() - $1::interval, now() - $2::interval)`, outboxRetention, inboxRetention)
	if err != nil {
		return fmt.Errorf("drop partitions: %w", err)
	}
	return nil
}
