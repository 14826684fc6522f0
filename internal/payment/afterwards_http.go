package payment

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/labstack/echo/v4"

	"github.com/holdfast-checkout/holdfast/internal/web"
)

// FailedRefund is a refund that has failed at the provider, as operators see it.
type FailedRefund struct {
	RefundID    string     `json:"refund_id" validate:"required"` // the provider's
	Provider    string     `json:"provider" validate:"required" example:"sandbox"`
	Account     string     `json:"account" validate:"required"`      // the provider's own word for the account
	ChargeID    string     `json:"charge_id,omitempty"`              // what it was to give back
	OrderID     *uuid.UUID `json:"order_id,omitempty" format:"uuid"` // whose payment it is; absent: no payment's
	Effect      string     `json:"effect" validate:"required" enums:"owed again,still owed,none"`
	AmountMinor int64      `json:"amount_minor"`
	Currency    string     `json:"currency"`
	Reason      string     `json:"reason,omitempty"`                                 // in the provider's word
	FailedAt    time.Time  `json:"failed_at" validate:"required" format:"date-time"` // on the provider's clock
	ToldAt      time.Time  `json:"told_at" validate:"required" format:"date-time"`   // when it was heard of here
} //	@name	FailedRefund

// ShownDispute is a dispute as operators see it.
type ShownDispute struct {
	DisputeID   string     `json:"dispute_id" validate:"required"` // the provider's
	Provider    string     `json:"provider" validate:"required" example:"sandbox"`
	Account     string     `json:"account" validate:"required"` // the provider's own word for the account
	ChargeID    string     `json:"charge_id"`
	OrderID     *uuid.UUID `json:"order_id,omitempty" format:"uuid"` // whose payment it is; absent: no payment's
	AmountMinor int64      `json:"amount_minor"`
	Currency    string     `json:"currency"`
	Reason      string     `json:"reason,omitempty"`
	Status      string     `json:"status" validate:"required" example:"needs_response"` // in the provider's word
	Over        bool       `json:"over"`                                                // nothing can become of it any more
	Funds       string     `json:"funds" validate:"required" enums:"kept,withdrawn,reinstated"`
	AsOf        time.Time  `json:"as_of" validate:"required" format:"date-time"`   // of the last word, on the provider's clock
	ToldAt      time.Time  `json:"told_at" validate:"required" format:"date-time"` // when it was first heard of here
	ChangedAt   time.Time  `json:"changed_at" validate:"required" format:"date-time"`
} //	@name	Dispute

const (
	failedColumns  = `refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, reason, failed_at, told_at`
	disputeColumns = `dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of, told_at, changed_at`
)

func (f *FailedRefund) inUTC() { f.FailedAt, f.ToldAt = f.FailedAt.UTC(), f.ToldAt.UTC() }

func (d *ShownDispute) inUTC() {
	d.AsOf, d.ToldAt, d.ChangedAt = d.AsOf.UTC(), d.ToldAt.UTC(), d.ChangedAt.UTC()
}

// collect reads rows of what is shown.
func collect[T any, P interface {
	*T
	inUTC()
}](rows pgx.Rows, err error, what string) ([]T, error) {
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[T])
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", what, err)
	}
	for i := range list {
		P(&list[i]).inUTC()
	}
	return list, nil
}

// failuresOf gives the refunds of an order's payment that have failed, the newest first.
func (c *Charger) failuresOf(ctx context.Context, order uuid.UUID) ([]FailedRefund, error) {
	rows, err := c.db.Query(ctx, `
		SELECT `+failedColumns+` FROM payment.failed_refunds WHERE order_id = $1 ORDER BY told_at DESC, refund_id DESC LIMIT 100`, order)
	return collect[FailedRefund](rows, err, "failed refunds")
}

// disputesOf gives the disputes of an order's charge, the newest first.
func (c *Charger) disputesOf(ctx context.Context, order uuid.UUID) ([]ShownDispute, error) {
	rows, err := c.db.Query(ctx, `
		SELECT `+disputeColumns+` FROM payment.disputes WHERE order_id = $1 ORDER BY told_at DESC, dispute_id DESC LIMIT 100`, order)
	return collect[ShownDispute](rows, err, "disputes")
}

// FailedRefunds gives the refunds that have failed, the oldest first, after one; unowned only those that are no payment's.
func (c *Charger) FailedRefunds(ctx context.Context, unowned bool, after position, limit int) ([]FailedRefund, error) {
	rows, err := c.db.Query(ctx, `
		SELECT `+failedColumns+` FROM payment.failed_refunds
		WHERE (told_at, refund_id) > ($1, $2) AND (NOT $3 OR effect = 'none') ORDER BY told_at, refund_id LIMIT $4`, after.At, after.ID, unowned, limit)
	return collect[FailedRefund](rows, err, "failed refunds")
}

const (
	openDisputesSQL = `
		SELECT ` + disputeColumns + ` FROM payment.disputes
		WHERE (told_at, dispute_id) > ($1, $2) AND NOT over ORDER BY told_at, dispute_id LIMIT $3`
	allDisputesSQL = `
		SELECT ` + disputeColumns + ` FROM payment.disputes
		WHERE (told_at, dispute_id) > ($1, $2) ORDER BY told_at, dispute_id LIMIT $3`
)

// Disputes gives disputes, the oldest first, after one; open leaves out those that are over.
func (c *Charger) Disputes(ctx context.Context, open bool, after position, limit int) ([]ShownDispute, error) {
	sql := allDisputesSQL
	if open {
		sql = openDisputesSQL
	}
	rows, err := c.db.Query(ctx, sql, after.At, after.ID, limit)
	return collect[ShownDispute](rows, err, "disputes")
}

// position is where a page of what was told begins: after one.
type position struct {
	At time.Time `json:"at"`
	ID string    `json:"id"`
}

// page answers with a page of what list gives, if state is one of two.
func page[T any](c echo.Context, states [2]string, list func(ctx context.Context, second bool, after position, limit int) ([]T, error), at func(T) position) error {
	limit, cursor, err := web.Page(c, defaultPage, mostPage, "state")
	if err != nil {
		return err
	}
	state := c.QueryParam("state")
	if state != "" && !slices.Contains(states[:], state) {
		return noSuchState(state, states[0]+" or "+states[1])
	}
	var after position
	if cursor != "" {
		if err := web.DecodeCursor(cursor, &after); err != nil {
			return err
		}
	}
	items, err := list(c.Request().Context(), state == states[1], after, limit+1)
	if err != nil {
		return err
	}
	page := web.List[T]{Items: items[:min(len(items), limit)]}
	if len(items) > limit {
		if page.NextCursor, err = web.EncodeCursor(at(items[limit-1])); err != nil {
			return err
		}
	}
	return web.JSON(c, http.StatusOK, page)
}

// failedRefunds shows refunds that have failed.
//
//	@Summary		Refunds that have failed at the provider, though it had made them; the oldest first
//	@Description	owed again: it had counted as made, and is made anew. still owed: it had not. none: no payment of ours wants it made, so a person must see to it.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			limit	query		int		false	"refunds on a page"	default(50)	maximum(200)
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Param			state	query		string	false	"none: only those that nothing came of here"	enums(all,none)	default(all)
//	@Success		200		{object}	web.List[FailedRefund]
//	@Failure		400,401,403,503	{object}	web.Problem
//	@Router			/admin/failed-refunds [get]
func (h *HTTP) failedRefunds(c echo.Context) error {
	return page(c, [2]string{"all", "none"}, h.charger.FailedRefunds, func(f FailedRefund) position { return position{f.ToldAt, f.RefundID} })
}

// disputes shows disputes.
//
//	@Summary		Charges that customers have had their banks take back; the oldest first
//	@Description	Each as it stood when the provider last told of it. They are answered at the provider.
//	@Tags			admin
//	@Produce		json
//	@Security		Bearer
//	@Param			limit	query		int		false	"disputes on a page"	default(50)	maximum(200)
//	@Param			cursor	query		string	false	"next_cursor of the page before"
//	@Param			state	query		string	false	"open: only those that are not over"	enums(all,open)	default(all)
//	@Success		200		{object}	web.List[ShownDispute]
//	@Failure		400,401,403,503	{object}	web.Problem
//	@Router			/admin/disputes [get]
func (h *HTTP) disputes(c echo.Context) error {
	return page(c, [2]string{"all", "open"}, h.charger.Disputes, func(d ShownDispute) position { return position{d.ToldAt, d.DisputeID} })
}
