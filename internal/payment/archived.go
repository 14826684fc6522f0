package payment

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/fault"
	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// addArchived adds to the payments that were found those of orders that were archived: a provider may tell of one, and list it, at any
// time. What is known of them is enough to tell what we know from what we do not; nothing moves them any more.
func addArchived(ctx context.Context, db *postgres.DB, orders []uuid.UUID, found map[uuid.UUID]*Payment) error {
	var missing []uuid.UUID
	for _, order := range orders {
		if found[order] == nil {
			missing = append(missing, order)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	rows, err := db.Query(ctx, `
		SELECT order_id, state, amount_minor, currency, coalesce(opened_as, ''), coalesce(charge_id, ''), coalesce(refund_id, ''),
		       coalesce(provider, ''), coalesce(account, '')
		FROM payment.archived WHERE order_id = ANY ($1)`, missing)
	if err != nil {
		return fmt.Errorf("find archived payments: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Payment, error) {
		p := &Payment{Attempted: true}
		return p, row.Scan(&p.OrderID, &p.State, &p.Terms.TotalMinor, &p.Terms.Currency, &p.OpenedAs, &p.ChargeID, &p.RefundID, &p.Account.Provider, &p.Account.ID)
	})
	if err != nil {
		return fmt.Errorf("find archived payments: %w", err)
	}
	for _, p := range list {
		found[p.OrderID] = p
	}
	return nil
}

// archivedSettled counts the archived payments of which an operator has said what is true outside.
func (c *Charger) archivedSettled(ctx context.Context) (n int64, err error) {
	if err = c.db.QueryRow(ctx, `SELECT count(*) FROM payment.archived WHERE settled IS NOT NULL`).Scan(&n); err != nil {
		return 0, fmt.Errorf("count archived payments: %w", err)
	}
	return n, nil
}

// noPayment tells an operator why there is no payment of an order.
func noPayment(ctx context.Context, db *postgres.DB, order uuid.UUID) error {
	found := map[uuid.UUID]*Payment{}
	if err := addArchived(ctx, db, []uuid.UUID{order}, found); err != nil {
		return err
	}
	if p := found[order]; p != nil {
		return fault.New(fault.NotFound, "The order is archived, with a payment that is %s: `holdfast archive --restore %s` brings it back.", p.State, order)
	}
	return fault.New(fault.NotFound, "No payment of such an order is known.")
}
