package audit

import "context"

const countOrders = `SELECT count(*) FROM orders.orders`

// allowedState spells an order's state as Options.States does.
const allowedState = `concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status)`

// proveNoImpossibleState is O1.
func proveNoImpossibleState(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, countOrders,
		rule{says: "the state is possible in the order's strategy", args: []any{a.States}, sql: `
			SELECT o.id AS order_id, ` + allowedState + ` AS state FROM orders.orders o
			WHERE ` + allowedState + ` NOT IN (SELECT unnest($1::text[]))`},
		rule{says: "an order owes something exactly while it is ending, and nothing that was given back", sql: `
			SELECT o.id AS order_id, o.status, o.owes_stock, o.owes_money, o.payment_status, o.inventory_status FROM orders.orders o
			WHERE (o.status = 'ENDING') <> (o.owes_stock OR o.owes_money)
			   OR o.owes_stock AND o.inventory_status IN ('RELEASED', 'OUT_OF_STOCK')
			   OR o.owes_money AND o.payment_status IN ('DECLINED', 'REFUNDED', 'VOIDED')`},
		rule{says: "a final order has an end and no other has", sql: `
			SELECT o.id AS order_id, o.status, o.ended_at FROM orders.orders o
			WHERE (o.ended_at IS NOT NULL) <> (o.status IN ('COMPLETED', 'FAILED', 'CANCELLED'))`},
		rule{says: "the total is the sum of the lines", sql: `
			SELECT o.id AS order_id, o.total_minor, coalesce(l.total, 0) AS lines_total
			FROM orders.orders o
			LEFT JOIN (SELECT order_id, sum(quantity * unit_price_minor) AS total FROM orders.lines GROUP BY order_id) l ON l.order_id = o.id
			WHERE o.total_minor IS DISTINCT FROM l.total`},
		rule{says: "a line belongs to an order", sql: `
			SELECT l.order_id, l.product_id FROM orders.lines l
			WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = l.order_id)`})
}

// proveOneOrderPerKey is O2.
func proveOneOrderPerKey(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, `SELECT count(*) FROM orders.idempotency_keys`,
		rule{says: "a customer's key has one order", sql: `
			SELECT customer, key, array_agg(order_id) AS order_ids FROM orders.idempotency_keys
			GROUP BY customer, key HAVING count(*) > 1`},
		rule{says: "an order was made under one key", sql: `
			SELECT order_id, array_agg(key) AS keys FROM orders.idempotency_keys GROUP BY order_id HAVING count(*) > 1`},
		rule{says: "a key's order is there and is its customer's", sql: `
			SELECT k.customer, k.key, k.order_id, o.customer AS orders_customer
			FROM orders.idempotency_keys k LEFT JOIN orders.orders o ON o.id = k.order_id
			WHERE o.customer IS DISTINCT FROM k.customer`})
}

// proveAllEnded is O3. At rest no order is under way but those that wait for the provider, which are listed, and those that
// nothing moves although their time is long over.
func proveAllEnded(ctx context.Context, a *auditor, v *Verdict) error {
	err := a.check(ctx, v, countOrders,
		rule{says: "an order ends once its time is over", args: []any{a.rest.unreachable}, sql: `
			SELECT o.id AS order_id, o.status, o.payment_status, o.inventory_status, o.deadline FROM orders.orders o
			WHERE o.status IN ('CREATED', 'PROCESSING', 'ENDING') AND NOT ($1 AND o.payment_status = 'UNKNOWN')`},
		rule{says: "no stock is held for an order that has come to nothing", sql: `
			SELECT o.id AS order_id, o.status, r.state AS reservation FROM orders.orders o
			JOIN inventory.reservations r ON r.order_id = o.id
			WHERE o.status IN ('FAILED', 'CANCELLED') AND r.state = 'RESERVED'`},
		rule{says: "no money is held for an order that has come to nothing", sql: `
			SELECT o.id AS order_id, o.status, p.state AS payment FROM orders.orders o
			JOIN payment.payments p ON p.order_id = o.id
			WHERE o.status IN ('FAILED', 'CANCELLED') AND p.state NOT IN ('DECLINED', 'REFUNDED', 'VOIDED')`})
	if err != nil {
		return err
	}
	return a.list(ctx, v, rule{says: "waits for a provider that does not answer", args: []any{a.rest.unreachable}, sql: `
		SELECT o.id AS order_id, o.status, o.inventory_status, o.deadline FROM orders.orders o
		WHERE o.status IN ('CREATED', 'PROCESSING', 'ENDING') AND $1 AND o.payment_status = 'UNKNOWN' ORDER BY o.id`})
}

// displayed is the display status that belongs to an order's states.
const displayed = `
	CASE WHEN o.status IN ('COMPLETED', 'CANCELLED') THEN o.status
	     WHEN o.status IN ('ENDING', 'FAILED') THEN
	          CASE WHEN o.payment_status = 'REFUNDING' THEN 'REFUND_IN_PROGRESS'
	               WHEN o.failure_reason IS NULL THEN 'CANCELLED'
	               WHEN o.payment_status = 'REFUNDED' THEN 'REFUNDED'
	               WHEN o.failure_reason = 'OUT_OF_STOCK' THEN 'FAILED_OUT_OF_STOCK'
	               WHEN o.failure_reason = 'TIMED_OUT' THEN 'FAILED_TIMED_OUT'
	               ELSE 'FAILED_PAYMENT' END
	     WHEN o.payment_status IN ('PENDING', 'UNKNOWN') THEN 'AWAITING_PAYMENT'
	     WHEN o.payment_status = 'SUCCESS' THEN 'AWAITING_INVENTORY'
	     ELSE 'PROCESSING' END`

// proveViewAgrees is V1.
func proveViewAgrees(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, `SELECT count(*) FROM orders.view`,
		rule{says: "orders and read model are the same set", sql: `
			SELECT coalesce(o.id, w.id) AS order_id, o.id IS NOT NULL AS in_orders, w.id IS NOT NULL AS in_view
			FROM orders.orders o FULL JOIN orders.view w ON w.id = o.id WHERE o.id IS NULL OR w.id IS NULL`},
		rule{says: "the read model shows the order's state", sql: `
			SELECT o.id AS order_id, w.display_status AS shown, ` + displayed + ` AS is,
				concat_ws('/', w.status, w.payment_status, w.inventory_status) AS view_states,
				concat_ws('/', o.status, o.payment_status, o.inventory_status) AS order_states
			FROM orders.orders o JOIN orders.view w ON w.id = o.id
			WHERE w.display_status <> ` + displayed + `
			   OR (w.customer, w.status, w.payment_status, w.inventory_status, w.total_minor, w.currency)
			      IS DISTINCT FROM (o.customer, o.status, o.payment_status, o.inventory_status, o.total_minor, o.currency)`})
}
