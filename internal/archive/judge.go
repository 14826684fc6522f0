package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// judged is an order that is old enough, and why it stays; "" when nothing keeps it.
type judged struct {
	ID    uuid.UUID
	Month time.Time // of its end
	Why   string
}

// querier is the pool, or the transaction in which the orders are locked.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// endMonth is the month in which an order o ended.
const endMonth = `date_trunc('month', o.ended_at AT TIME ZONE 'UTC')::date`

// judgeSQL tells of each of some orders ($1) that ended, or should have, before a moment ($2) what keeps it. Whatever somebody may
// still have to do with an order keeps it, and so does what the auditor would name: evidence is not carried off.
const judgeSQL = `
	SELECT o.id, coalesce(` + endMonth + `, o.created_at::date), CASE
		WHEN o.ended_at IS NULL THEN 'it has not ended'
		WHEN EXISTS (SELECT FROM orders.idempotency_keys k WHERE k.order_id = o.id) THEN 'its key is still known'
		WHEN EXISTS (SELECT FROM shared.outbox f WHERE f.order_id = o.id) THEN 'its facts are still kept'
		WHEN EXISTS (SELECT FROM shared.dead_letters d WHERE d.order_id = o.id AND d.replayed_at IS NULL) THEN 'a dead letter of it is open'
		WHEN EXISTS (SELECT FROM shared.waiting_facts w WHERE w.order_id = o.id) THEN 'a fact of it waits for another version'
		WHEN EXISTS (SELECT FROM payment.orphans x WHERE x.order_id = o.id::text AND x.refund_id IS NULL AND x.settled_at IS NULL) THEN 'there is money that only one side knows of'
		WHEN EXISTS (SELECT FROM payment.payments p WHERE p.order_id = o.id AND (p.due_at IS NOT NULL OR p.leased_until IS NOT NULL)) THEN 'its money is under way'
		WHEN EXISTS (SELECT FROM payment.disputes d WHERE d.order_id = o.id AND NOT d.over) THEN 'its charge is disputed'
		WHEN EXISTS (SELECT FROM payment.transfers t WHERE t.order_id = o.id AND t.credit <> 'outside'
		             AND NOT EXISTS (SELECT FROM payment.closed_accounts k WHERE (k.provider, k.account) = (t.provider, t.account))
		             AND t.at > (SELECT h.at FROM payment.hunts h WHERE (h.provider, h.account) = (t.provider, t.account)))
			THEN 'its money was not looked for in the provider''s list yet'
		WHEN NOT (` + whole + `) THEN 'its rows do not agree: see the audit'
		ELSE '' END
	FROM orders.orders o
	WHERE o.id = ANY ($1) AND (o.ended_at < $2 OR o.ended_at IS NULL AND o.created_at < $2) ORDER BY o.id`

// whole is the condition that the rows of an order o say the same: what is shown, paid and taken is what the order says.
const whole = `
	EXISTS (SELECT FROM orders.view v WHERE v.id = o.id AND (v.version, v.status, v.total_minor) = (o.version, o.status, o.total_minor))
	AND coalesce((SELECT p.state FROM payment.payments p WHERE p.order_id = o.id), 'VOIDED') = ANY (
		CASE WHEN o.status = 'COMPLETED' THEN ARRAY['SUCCESS'] ELSE ARRAY['DECLINED', 'REFUNDED', 'VOIDED'] END)
	AND coalesce((SELECT sum(CASE t.kind WHEN 'refund' THEN -t.amount_minor ELSE t.amount_minor END) FROM payment.transfers t
		WHERE t.order_id = o.id AND t.currency = o.currency), 0) = CASE WHEN o.status = 'COMPLETED' THEN o.total_minor ELSE 0 END
	AND coalesce((SELECT r.state FROM inventory.reservations r WHERE r.order_id = o.id), 'RELEASED') = ANY (
		CASE WHEN o.status = 'COMPLETED' THEN ARRAY['RESERVED'] ELSE ARRAY['OUT_OF_STOCK', 'RELEASED'] END)
	AND NOT EXISTS (
		SELECT FROM (SELECT m.product_id, -sum(m.quantity) AS units FROM inventory.movements m WHERE m.order_id = o.id GROUP BY m.product_id) m
		FULL JOIN (SELECT l.product_id, l.quantity AS units FROM inventory.reservation_lines l WHERE l.order_id = o.id AND o.status = 'COMPLETED') l USING (product_id)
		WHERE coalesce(m.units, 0) <> coalesce(l.units, 0))
	AND NOT EXISTS (
		SELECT FROM (SELECT l.product_id, l.quantity FROM orders.lines l WHERE l.order_id = o.id) w
		FULL JOIN (SELECT l.product_id, l.quantity FROM inventory.reservation_lines l WHERE l.order_id = o.id) l USING (product_id)
		WHERE o.status = 'COMPLETED' AND w.quantity IS DISTINCT FROM l.quantity)`

func judge(ctx context.Context, on querier, ids []uuid.UUID, before time.Time) ([]judged, error) {
	rows, err := on.Query(ctx, judgeSQL, ids, before)
	if err != nil {
		return nil, fmt.Errorf("judge %d orders: %w", len(ids), err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[judged])
	if err != nil {
		return nil, fmt.Errorf("judge %d orders: %w", len(ids), err)
	}
	return list, nil
}
