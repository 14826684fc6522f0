package payment

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Shown is a payment as operators see it.
type Shown struct {
	OrderID       uuid.UUID  `json:"order_id" validate:"required" format:"uuid"`
	State         State      `json:"state" validate:"required" swaggertype:"string" enums:"PENDING,UNKNOWN,SUCCESS,DECLINED,REFUNDING,REFUNDED,VOIDED"`
	Strategy      string     `json:"strategy" validate:"required" example:"optimistic"`
	AmountMinor   int64      `json:"amount_minor" validate:"required"`
	Currency      string     `json:"currency" validate:"required" example:"EUR"`
	PaymentMethod string     `json:"payment_method" validate:"required" example:"pm_ok"`
	Provider      string     `json:"provider,omitempty" example:"sandbox"` // at which it was first asked for; absent: nowhere yet
	Account       string     `json:"account,omitempty"`                    // the provider's own word for the account
	Waiting       bool       `json:"waiting" db:"-"`                       // it is under way, and its account is not configured here
	ChargeID      string     `json:"charge_id,omitempty"`                  // the provider's
	RefundID      string     `json:"refund_id,omitempty"`                  // the provider's
	OpenedAs      string     `json:"opened_as,omitempty"`                  // the provider's id of what was opened to be charged
	Reason        string     `json:"reason,omitempty"`                     // why it was declined
	GivingBack    bool       `json:"giving_back"`                          // the order wants nothing of it any more
	Tries         int        `json:"tries"`                                // times it was taken up for what is to be done now
	Attempts      int64      `json:"attempts"`                             // calls to the provider whose end was noted, of all kinds
	ErrorAnswers  int        `json:"error_answers"`                        // answers of the provider that were errors
	Failed        int        `json:"failed_refunds"`                       // refunds of it that have failed at the provider
	GivenUp       bool       `json:"given_up"`                             // they were too many: the refund is made again only by an operator's retry
	LastError     string     `json:"last_error,omitempty"`
	FirstTry      *time.Time `json:"first_try,omitempty" format:"date-time"`  // when the charge, or the refund that is owed, was first asked for
	OwedSince     *time.Time `json:"owed_since,omitempty" format:"date-time"` // since when a refund is owed
	Asking        bool       `json:"asking"`                                  // somebody is asking the provider right now
	DueAt         *time.Time `json:"due_at,omitempty" format:"date-time"`     // when the provider is asked next; absent: nothing is left to do
	CreatedAt     time.Time  `json:"created_at" validate:"required" format:"date-time"`
	ChangedAt     time.Time  `json:"changed_at" validate:"required" format:"date-time"`
	Acts          []ShownAct `json:"acts,omitempty" db:"-"` // what operators have done about it, newest first; of one payment alone

	Calls    []ShownCall    `json:"calls,omitempty" db:"-"`    // the last to the provider, newest first; of one payment alone
	Failures []FailedRefund `json:"failures,omitempty" db:"-"` // which of its refunds have failed, newest first; of one payment alone
	Disputes []ShownDispute `json:"disputes,omitempty" db:"-"` // of its charge, newest first; of one payment alone
} //	@name	Payment

func (s Shown) account() Account { return Account{s.Provider, s.Account} }

const shownColumns = `p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.provider, p.account,
	coalesce(p.charge_id, ''), coalesce(p.refund_id, ''), coalesce(p.opened_as, ''), p.reason, p.undo_cause IS NOT NULL,
	p.tries, (SELECT count(*) FROM payment.attempts a WHERE a.order_id = p.order_id), p.error_answers,
	cardinality(p.failed_refunds), p.state = 'REFUNDING' AND cardinality(p.failed_refunds) > ` + mostFailedSQL + `, p.last_error,
	CASE WHEN p.state IN ('REFUNDING', 'REFUNDED') THEN p.refund_attempted_at ELSE p.attempted_at END, p.owed_since,
	coalesce(p.leased_until > now(), false), p.due_at, p.created_at, p.changed_at`

// Which payments are listed: all that are under way, those of one state, those that fail, those whose account is not configured, or
// those that were settled outside.
const (
	listAll     = "open"
	listFailing = "failing"
	listWaiting = "waiting"
	listSettled = "settled"

	listReversed = "reversed" // under way, and a refund of it has failed: it is owed still or again
	listDisputed = "disputed"
)

// mostFailedSQL is mostFailed for a statement.
const mostFailedSQL = "3"

// The payments that are under way have an index of their own and are few: they are read first, so that no plan walks along the others.
const listSQL = `
	WITH p AS MATERIALIZED (SELECT * FROM payment.payments WHERE due_at IS NOT NULL)
	SELECT ` + shownColumns + ` FROM p
	WHERE p.order_id > $1 AND ($2 = '` + listAll + `' OR p.state = $2 OR $2 = '` + listFailing + `' AND p.last_error <> ''
	                          OR $2 = '` + listWaiting + `' AND p.provider <> '' AND NOT EXISTS (
	                              SELECT FROM unnest($4::text[], $5::text[]) AS k(provider, account) WHERE (k.provider, k.account) = (p.provider, p.account))
	                          OR $2 = '` + listReversed + `' AND p.failed_refunds <> '{}')
	ORDER BY p.order_id LIMIT $3`

const settledSQL = `
	SELECT ` + shownColumns + ` FROM (SELECT DISTINCT order_id FROM payment.acts WHERE act = 'settle' AND order_id > $1 ORDER BY order_id LIMIT $2) s
	JOIN payment.payments p USING (order_id) ORDER BY order_id`

const disputedSQL = `
	SELECT ` + shownColumns + ` FROM payment.payments p
	WHERE p.order_id > $1 AND p.order_id IN (SELECT order_id FROM payment.disputes WHERE NOT over) ORDER BY p.order_id LIMIT $2`

// List gives payments that are under way, by their orders' ids, after one.
func (c *Charger) List(ctx context.Context, which string, after uuid.UUID, limit int) ([]Shown, error) {
	providers, accounts := columnsOf(c.known())
	sql, args := listSQL, []any{after, which, limit, providers, accounts}
	switch which {
	case listSettled:
		sql, args = settledSQL, []any{after, limit}
	case listDisputed:
		sql, args = disputedSQL, []any{after, limit}
	}
	rows, err := c.db.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Shown])
	if err != nil {
		return nil, fmt.Errorf("list payments: %w", err)
	}
	for i := range list {
		c.finish(&list[i])
	}
	return list, nil
}

// Show gives the payment of an order.
func (c *Charger) Show(ctx context.Context, order uuid.UUID) (Shown, error) {
	rows, err := c.db.Query(ctx, `SELECT `+shownColumns+` FROM payment.payments p WHERE p.order_id = $1`, order)
	if err != nil {
		return Shown{}, fmt.Errorf("show the payment of order %s: %w", order, err)
	}
	s, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Shown])
	if errors.Is(err, pgx.ErrNoRows) {
		return s, noPayment(ctx, c.db, order)
	}
	if err != nil {
		return s, fmt.Errorf("show the payment of order %s: %w", order, err)
	}
	c.finish(&s)
	return s, nil
}

// finish adds what the database does not say.
func (c *Charger) finish(s *Shown) {
	s.Waiting = s.State.UnderWay() && c.waits(s.account())
	s.CreatedAt, s.ChangedAt = s.CreatedAt.UTC(), s.ChangedAt.UTC()
	for _, t := range []*time.Time{s.FirstTry, s.OwedSince, s.DueAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// Orphan is money that only one side knows of, as operators see it.
type Orphan struct {
	ProviderID   string     `json:"provider_id" validate:"required"` // of the charge or refund
	Provider     string     `json:"provider" validate:"required" example:"sandbox"`
	Account      string     `json:"account" validate:"required"` // the provider's own word for the account
	Kind         string     `json:"kind" validate:"required" enums:"charge,refund"`
	Found        string     `json:"found" validate:"required" enums:"stray,no order,foreign,wrong,missing"`
	OrderID      string     `json:"order_id"` // as the provider has it
	Key          string     `json:"key"`
	AmountMinor  int64      `json:"amount_minor"`
	Currency     string     `json:"currency"`
	FoundAt      time.Time  `json:"found_at" validate:"required" format:"date-time"`
	DueAt        *time.Time `json:"due_at,omitempty" format:"date-time"`    // when it is given back next; absent: a person must see to it, or it is done
	FirstTry     *time.Time `json:"first_try,omitempty" format:"date-time"` // when its refund was first asked for
	Tries        int        `json:"tries"`
	ErrorAnswers int        `json:"error_answers"`  // answers of the provider that were errors
	Failed       int        `json:"failed_refunds"` // refunds of it that have failed at the provider
	LastError    string     `json:"last_error,omitempty"`
	RefundID     string     `json:"refund_id,omitempty"`
	RefundedAt   *time.Time `json:"refunded_at,omitempty" format:"date-time"`
	SettledAt    *time.Time `json:"settled_at,omitempty" format:"date-time"` // when somebody has seen to it by another way

	Acts []ShownOrphanAct `json:"acts,omitempty" db:"-"` // what operators have done about it, newest first; of one orphan alone
} //	@name	Orphan

func (o *Orphan) inUTC() {
	o.FoundAt = o.FoundAt.UTC()
	for _, t := range []*time.Time{o.DueAt, o.FirstTry, o.RefundedAt, o.SettledAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
}

// orphanPosition is where a page of orphans begins: after one.
type orphanPosition struct {
	FoundAt time.Time `json:"found_at"`
	ID      string    `json:"id"`
}

const listOrphansSQL = `
	SELECT ` + orphanColumns + ` FROM payment.orphans
	WHERE (found_at, provider_id) > ($1, $2) AND (NOT $3 OR refund_id IS NULL AND settled_at IS NULL)
	ORDER BY found_at, provider_id LIMIT $4`

// Orphans gives what only one side knows of, the oldest first; open leaves out what was given back or settled.
func (c *Charger) Orphans(ctx context.Context, open bool, after orphanPosition, limit int) ([]Orphan, error) {
	rows, err := c.db.Query(ctx, listOrphansSQL, after.FoundAt, after.ID, open, limit)
	return collect[Orphan](rows, err, "orphans")
}
