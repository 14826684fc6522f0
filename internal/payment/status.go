package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Status is what is under way, for operators.
type Status struct {
	Pending   int64           `json:"pending"`
	Unknown   int64           `json:"unknown"`
	Refunding int64           `json:"refunding"`
	Forgotten int64           `json:"forgotten"`              // charges asked for too long ago to be sent again, of orders that want them: they are looked up until the order ends
	Failing   int64           `json:"failing"`                // of all these: the provider was last asked without learning the outcome
	Waiting   int64           `json:"waiting"`                // of all these: made at an account that is not configured, so that nobody asks for them
	Reversed  int64           `json:"reversed"`               // of all these: a refund has failed at the provider, and is owed still or again
	GivenUp   int64           `json:"given_up"`               // of these: too often, so that a person has to have it tried again or give the money back
	Disputes  int64           `json:"disputes"`               // charges that customers have had their banks take back, and of which it is not decided
	Oldest    *time.Time      `json:"oldest_since,omitempty"` // since when the oldest of these is under way; absent: nothing is
	Accounts  []AccountStatus `json:"accounts"`               // that are configured, and others at which something is under way
}

// AccountStatus is what is under way at an account of a provider.
type AccountStatus struct {
	Provider  string     `json:"provider" validate:"required" example:"sandbox"`
	Account   string     `json:"account,omitempty"` // the provider's own word for it; absent: it has not said so yet
	Role      string     `json:"role" validate:"required" enums:"charging,former,not configured,closed"`
	UnderWay  int64      `json:"under_way"`
	Refunding int64      `json:"refunding"` // of these
	Oldest    *time.Time `json:"oldest_since,omitempty"`
	Error     string     `json:"error,omitempty"` // why the provider does not say which account it is
	Closed    *ClosedBy  `json:"closed,omitempty"`
} //	@name	PaymentAccount

// ClosedBy is who has said that an account is gone for good.
type ClosedBy struct {
	By     string    `json:"by" validate:"required"` // whose token it was
	Reason string    `json:"reason" validate:"required"`
	At     time.Time `json:"at" validate:"required" format:"date-time"`
} //	@name	ClosedPaymentAccount

// What an account is to this configuration.
const (
	Charging      = "charging"
	FormerAccount = "former"
	NotConfigured = "not configured"
	ClosedAccount = "closed" // not configured either
)

// Unattended says whether nobody here asks for what is under way there.
func (a AccountStatus) Unattended() bool { return a.Role == NotConfigured || a.Role == ClosedAccount }

const statusSQL = `
	SELECT count(*) FILTER (WHERE state = 'PENDING'), count(*) FILTER (WHERE state = 'UNKNOWN'), count(*) FILTER (WHERE state = 'REFUNDING'),
	       count(*) FILTER (WHERE attempted_at <= now() - $1 * interval '1 millisecond' AND state <> 'REFUNDING' AND undo_cause IS NULL),
	       count(*) FILTER (WHERE last_error <> ''), count(*) FILTER (WHERE failed_refunds <> '{}'),
	       count(*) FILTER (WHERE cardinality(failed_refunds) > ` + mostFailedSQL + `),
	       (SELECT count(*) FROM payment.disputes WHERE NOT over), min(created_at)
	FROM payment.payments WHERE due_at IS NOT NULL`

const accountsSQL = `
	SELECT provider, account, CASE WHEN k.at IS NULL THEN '` + NotConfigured + `' ELSE '` + ClosedAccount + `' END,
	       coalesce(b.n, 0), coalesce(b.refunding, 0), b.oldest, '',
	       CASE WHEN k.at IS NOT NULL THEN jsonb_build_object('by', k.by, 'reason', k.reason, 'at', k.at) END
	FROM (SELECT provider, account, count(*) AS n, count(*) FILTER (WHERE state = 'REFUNDING') AS refunding, min(created_at) AS oldest
	      FROM payment.payments WHERE due_at IS NOT NULL AND provider <> '' GROUP BY provider, account) b
	FULL JOIN payment.closed_accounts k USING (provider, account) ORDER BY provider, account`

// Status counts the payments that are under way.
func (c *Charger) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.db.QueryRow(ctx, statusSQL, c.options.KeyMemory.Milliseconds()).Scan(
		&s.Pending, &s.Unknown, &s.Refunding, &s.Forgotten, &s.Failing, &s.Reversed, &s.GivenUp, &s.Disputes, &s.Oldest)
	if err == nil {
		s.Accounts, err = c.accounts(ctx)
	}
	if err != nil {
		return Status{}, fmt.Errorf("payment status: %w", err)
	}
	for _, a := range s.Accounts {
		if a.Unattended() {
			s.Waiting += a.UnderWay
		}
	}
	return s, nil
}

// accounts are those that are configured, in their order, and those beside them at which something is under way or that were closed.
func (c *Charger) accounts(ctx context.Context) ([]AccountStatus, error) {
	rows, err := c.db.Query(ctx, accountsSQL)
	if err != nil {
		return nil, err
	}
	busy, err := pgx.CollectRows(rows, pgx.RowToStructByPos[AccountStatus])
	if err != nil {
		return nil, err
	}
	all := make([]AccountStatus, 0, len(c.cashiers)+len(busy))
	for i, at := range c.cashiers {
		s := at.status()
		if i > 0 {
			s.Role = FormerAccount
		}
		is := func(b AccountStatus) bool {
			return b.Account != "" && b.Provider == s.Provider && b.Account == s.Account
		}
		if slices.ContainsFunc(all, is) { // given twice
			continue
		}
		if n := slices.IndexFunc(busy, is); n >= 0 {
			s.UnderWay, s.Refunding, s.Oldest = busy[n].UnderWay, busy[n].Refunding, busy[n].Oldest
			busy = slices.Delete(busy, n, n+1)
		}
		all = append(all, s)
	}
	return append(all, busy...), nil
}

// status says who a cashier asks.
func (c *cashier) status() AccountStatus {
	own, known := c.identity.Known()
	s := AccountStatus{Provider: own.Provider, Account: own.ID, Role: Charging}
	if named, ok := c.provider.(interface{ Name() string }); ok {
		s.Provider = cmp.Or(s.Provider, named.Name())
	}
	if why := c.failed.Load(); why != nil && !known {
		s.Error = *why
	}
	return s
}

// Unattended says in words at which accounts something is under way that nobody here asks for, and which do not say who they are.
func (s Status) Unattended() error {
	var all []error
	for _, a := range s.Accounts {
		switch {
		case a.Unattended() && a.UnderWay > 0:
			all = append(all, fmt.Errorf("%d payments, of them %d refunds, are owed at %s, which is %s", a.UnderWay, a.Refunding, Account{a.Provider, a.Account}, a.Role))
		case a.Error != "":
			all = append(all, fmt.Errorf("%s has not said which account it is, so that nothing is asked of it: %s", cmp.Or(a.Provider, "the provider"), a.Error))
		}
	}
	return errors.Join(all...)
}
