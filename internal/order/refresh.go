package order

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// An order's units are held from the start until a while after its deadline, and it ends soon after that, if all goes well. The
// holds of one that is overdue and has not ended, because somebody who is to hear of it does not, are refreshed: by so much each
// time, and so often that one time may fail.
const (
	holdMargin      = time.Minute
	refreshInterval = holdMargin / 3
)

// refreshPage is how many lines of orders are refreshed at once.
const refreshPage = 1000

// KeepHolds refreshes holds until ctx ends. One instance does it; two do no harm.
func (s *Service) KeepHolds(ctx context.Context) error {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		_, err := s.Refresh(ctx)
		s.report(ctx, "refresh holds", err)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Refresh keeps the units held of all orders that are overdue and have not ended, and says how many lines these have. Where a
// hold is found to be gone, by the loss of Redis' memory or because nobody was there to refresh it, there is doubt.
func (s *Service) Refresh(ctx context.Context) (lines int, err error) {
	for at := (lineOfOverdue{}); ; {
		page, err := overdueHolds(ctx, s.db, at)
		if err != nil || len(page) == 0 {
			return lines, err
		}
		holds := make([]Hold, len(page))
		for i, l := range page {
			holds[i] = l.Hold
		}
		gone, err := s.ports.Holds.Refresh(ctx, holds)
		if err != nil {
			return lines, fmt.Errorf("refresh %d holds of orders: %w", len(holds), err)
		}
		if gone > 0 {
			s.log.WarnContext(ctx, "orders under way have lost holds", "holds", gone)
			s.doubt()
		}
		if lines += len(page); len(page) < refreshPage {
			return lines, nil
		}
		at = page[len(page)-1]
	}
}

// lineOfOverdue is a hold with the deadline of its order, by which pages follow each other.
type lineOfOverdue struct {
	Hold
	deadline time.Time
}

// overdueHolds gives the next holds after one, by deadline, order and product.
func overdueHolds(ctx context.Context, db *postgres.DB, after lineOfOverdue) ([]lineOfOverdue, error) {
	rows, err := db.Query(ctx, `
		SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, now() + $1::interval, o.deadline
		FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
		WHERE o.ended_at IS NULL AND o.hold_id IS NOT NULL AND o.inventory_status = 'NOT_STARTED'
		  AND o.deadline < now() AND o.deadline >= $2 AND (o.deadline, o.id, l.product_id) > ($2, $3, $4)
		ORDER BY o.deadline, o.id, l.product_id LIMIT $5`, holdMargin, after.deadline, after.OrderID, after.ProductID, refreshPage)
	if err != nil {
		return nil, fmt.Errorf("holds of overdue orders: %w", err)
	}
	holds, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l lineOfOverdue, err error) {
		err = row.Scan(&l.OrderID, &l.Customer, &l.HoldID, &l.ProductID, &l.Quantity, &l.ExpiresAt, &l.deadline)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("holds of overdue orders: %w", err)
	}
	return holds, nil
}
