package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// whose says to what a line belongs. A provider's account may be shared: what is neither of our charges nor under a key of ours is
// somebody else's.
type whose struct {
	ours     bool
	orphan   bool
	payment  *row       // locked; nil: none
	order    *uuid.UUID // whose payment it is, archived or not; nil: no payment's
	archived bool
	heard    bool // that this refund has failed is known
}

const whoseSQL = `
	SELECT ARRAY(SELECT order_id FROM payment.payments WHERE charge_id = $1
	             UNION SELECT order_id FROM payment.payments WHERE refund_id = $2),
	       ARRAY(SELECT order_id FROM payment.archived WHERE charge_id = $1
	             UNION SELECT order_id FROM payment.archived WHERE refund_id = $2),
	       EXISTS (SELECT FROM payment.orphans WHERE provider_id = $1 AND kind = 'charge'),
	       EXISTS (SELECT FROM payment.failed_refunds WHERE refund_id = $2)`

// belongs finds whose charge a line is about, and locks its payment.
func belongs(ctx context.Context, tx pgx.Tx, l Line) (w whose, err error) {
	var orders, archived []uuid.UUID
	if err := tx.QueryRow(ctx, whoseSQL, l.ChargeID, l.ID).Scan(&orders, &archived, &w.orphan, &w.heard); err != nil {
		return w, fmt.Errorf("find whose charge %s is: %w", l.ChargeID, err)
	}
	_, noOrder := uuid.Parse(l.OrderID)
	w.ours = len(orders) > 0 || len(archived) > 0 || w.orphan || noOrder == nil && l.Key != ""
	switch {
	case len(orders) > 0:
		w.order = &orders[0]
		locked, err := lock(ctx, tx, orders[:1])
		w.payment = locked[orders[0]]
		return w, err
	case len(archived) > 0:
		w.order, w.archived = &archived[0], true
	}
	return w, nil
}

// keepFailed writes down that a refund has failed; fresh says whether that was not known.
func (a afterwards) keepFailed(ctx context.Context, tx pgx.Tx, l Line, is whose, effect string) (fresh bool, err error) {
	done, err := tx.Exec(ctx, `
		INSERT INTO payment.failed_refunds (refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, reason, failed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING`,
		l.ID, l.Account.Provider, l.Account.ID, l.ChargeID, is.order, effect, l.AmountMinor, l.Currency, l.Reason, l.At)
	if err != nil {
		return false, fmt.Errorf("keep that it has failed: %w", err)
	}
	return done.RowsAffected() > 0, nil
}

// failOrphan has an orphan owe its refund again, if it was given back by it or is to be. One that has failed again and again is left to
// a person.
func failOrphan(ctx context.Context, tx pgx.Tx, l Line) (effect string, err error) {
	err = tx.QueryRow(ctx, `
		WITH old AS (SELECT provider_id, refund_id, due_at, failed_refunds FROM payment.orphans WHERE provider_id = $1 FOR UPDATE),
		done AS (
			UPDATE payment.orphans o SET
				failed_refunds = array_append(o.failed_refunds, $2), error_answers = o.error_answers + 1, last_error = $3,
				refund_id = nullif(o.refund_id, $2), refunded_at = CASE WHEN o.refund_id <> $2 THEN o.refunded_at END,
				due_at = CASE WHEN cardinality(o.failed_refunds) < $4 AND (o.refund_id = $2 OR o.due_at IS NOT NULL) THEN now() END
			FROM old WHERE o.provider_id = old.provider_id AND $2 <> ALL (old.failed_refunds))
		SELECT CASE WHEN $2 = ANY (failed_refunds) THEN '' WHEN refund_id = $2 THEN $5 WHEN due_at IS NOT NULL THEN $6 ELSE '' END FROM old`,
		l.ChargeID, l.ID, lastError(fmt.Errorf("refund %s failed at the provider: %s", l.ID, l.Reason)), mostFailed, owedAgain, stillOwed).Scan(&effect)
	if err != nil {
		return "", fmt.Errorf("have orphan %s given back again: %w", l.ChargeID, err)
	}
	if effect == "" {
		effect = noEffect
	}
	return effect, nil
}

// Dispute is how a dispute stands.
type Dispute struct {
	Status string // in the provider's word
	Over   bool   // nothing can become of it any more
	Funds  string // what the provider has done with the money so far
}

// What a provider does with the money of a disputed charge.
const (
	FundsKept       = "kept"
	FundsWithdrawn  = "withdrawn"
	FundsReinstated = "reinstated"
)

// What was said last on the provider's clock is how a dispute stands; of two words of one moment, that it is over. Money moves forward
// only: it is withdrawn, and reinstated.
const disputeSQL = `
	INSERT INTO payment.disputes AS d (dispute_id, provider, account, charge_id, order_id, amount_minor, currency, reason, status, over, funds, as_of)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
	ON CONFLICT (dispute_id) DO UPDATE SET
		status = CASE WHEN ` + newerSQL + ` THEN excluded.status ELSE d.status END,
		over = CASE WHEN ` + newerSQL + ` THEN excluded.over ELSE d.over END,
		reason = CASE WHEN ` + newerSQL + ` THEN excluded.reason ELSE d.reason END,
		amount_minor = CASE WHEN ` + newerSQL + ` THEN excluded.amount_minor ELSE d.amount_minor END,
		funds = CASE WHEN ` + furtherSQL + ` THEN excluded.funds ELSE d.funds END,
		order_id = coalesce(d.order_id, excluded.order_id),
		as_of = greatest(d.as_of, excluded.as_of), changed_at = now()
	WHERE ` + newerSQL + ` OR ` + furtherSQL + `
	RETURNING changed_at = told_at, over`

const (
	newerSQL   = `(excluded.as_of > d.as_of OR excluded.as_of = d.as_of AND excluded.over AND NOT d.over)`
	furtherSQL = `array_position(ARRAY['kept', 'withdrawn', 'reinstated'], excluded.funds) > array_position(ARRAY['kept', 'withdrawn', 'reinstated'], d.funds)`
)

// dispute hears how a dispute stands.
func (a afterwards) dispute(ctx context.Context, l Line) (string, error) {
	var is whose
	changed, fresh, over := false, false, false
	err := a.db.InTx(ctx, func(tx pgx.Tx) (err error) {
		changed = false
		if is, err = belongs(ctx, tx, l); err != nil || !is.ours {
			return err
		}
		rows, err := tx.Query(ctx, disputeSQL, l.ID, l.Account.Provider, l.Account.ID, l.ChargeID, is.order, l.AmountMinor, l.Currency, l.Reason,
			l.Dispute.Status, l.Dispute.Over, l.Dispute.Funds, l.At)
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&fresh, &over}, func() error { changed = true; return nil })
		if err == nil && changed && is.payment != nil && is.payment.State == Refunding { // what a provider refuses meanwhile it may do now
			_, err = tx.Exec(ctx, `UPDATE payment.payments SET due_at = now() WHERE order_id = $1`, is.payment.OrderID)
		}
		return err
	})
	switch {
	case err != nil:
		return "", fmt.Errorf("hear of dispute %s: %w", l.ID, err)
	case !is.ours:
		return "of no interest", nil
	case !changed:
		return "known", nil
	}
	turn := "changed"
	if fresh {
		turn = "opened"
	}
	if over {
		turn = "over"
	}
	a.disputed.WithLabelValues(turn).Inc()
	a.wake()
	a.log.WarnContext(ctx, "a charge is disputed", "dispute_id", l.ID, "charge_id", l.ChargeID, "order_id", l.OrderID, "status", l.Dispute.Status,
		"funds", l.Dispute.Funds, "reason", l.Reason, "amount_minor", l.AmountMinor, "currency", l.Currency, "as_of", l.At.Format(time.RFC3339))
	return "disputed", nil
}
