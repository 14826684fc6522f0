package order

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// archived gives an order that ended long ago and lies in the archive. Of one whose month was dropped it is known that it was there.
func (s *Service) archived(ctx context.Context, customer string, id uuid.UUID) (View, error) {
	rows, err := s.db.Query(ctx, `
		SELECT `+viewColumns+` FROM (
			SELECT v.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month),
				jsonb_populate_record(NULL::orders.view, d.view) v
			WHERE a.id = $1 AND a.customer = $2) AS archived`, id, customer)
	if err != nil {
		return View{}, fmt.Errorf("get archived order %s: %w", id, err)
	}
	view, err := pgx.CollectExactlyOneRow(rows, scanView)
	if errors.Is(err, pgx.ErrNoRows) {
		return View{}, s.gone(ctx, s.db, customer, id, fault.New(fault.Archived, "The order was archived, and its month is gone from the archive."))
	}
	if err != nil {
		return View{}, fmt.Errorf("get archived order %s: %w", id, err)
	}
	return view, nil
}

// asker is the pool or a transaction.
type asker interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// gone tells an order of a customer that was archived from one that never was.
func (s *Service) gone(ctx context.Context, on asker, customer string, id uuid.UUID, archived error) error {
	var was bool
	err := on.QueryRow(ctx, `SELECT EXISTS (SELECT FROM orders.archived WHERE id = $1 AND customer = $2)`, id, customer).Scan(&was)
	switch {
	case err != nil:
		return fmt.Errorf("look for archived order %s: %w", id, err)
	case was:
		return archived
	}
	return noSuchOrder()
}
