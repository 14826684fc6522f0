package audit

import "context"

const countOrders = `SELECT count(*) FROM orders.orders`

// allowedState spells an order's state as Options.States does.
const allowedState = `concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status)`

// clocks is how far the clocks of instances and of Postgres may be apart.
const clocks = `interval '30 s'`

// keysLive is for how long every order has its key at least: keys are kept for 24 hours.
const keysLive = `interval '23 hours'`

// proveNoImpossibleState is O1.
func proveNoImpossibleState(ctx context.Context, a *auditor, v *Verdict) error {
	if err := proveArchive(ctx, a, v); err != nil {
		return err
	}
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
		rule{says: "an order ends after it was made", sql: `
			SELECT o.id AS order_id, o.created_at, o.ended_at FROM orders.orders o WHERE o.ended_at < o.created_at - ` + clocks},
		rule{says: "the total is the sum of the lines", sql: `
			SELECT o.id AS order_id, o.total_minor, coalesce(l.total, 0) AS lines_total
			FROM orders.orders o
			LEFT JOIN (SELECT order_id, sum(quantity * unit_price_minor) AS total FROM orders.lines GROUP BY order_id) l ON l.order_id = o.id
			WHERE o.total_minor IS DISTINCT FROM l.total`},
		rule{says: "a line belongs to an order", sql: `
			SELECT l.order_id, l.product_id FROM orders.lines l
			WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = l.order_id)`},
		rule{says: "a line of a cart belongs to a cart", sql: `
			SELECT l.cart_id, l.product_id FROM cart.lines l
			WHERE NOT EXISTS (SELECT FROM cart.carts c WHERE c.id = l.cart_id)`})
}

// proveOneOrderPerKey is O2.
func proveOneOrderPerKey(ctx context.Context, a *auditor, v *Verdict) error {
	return a.check(ctx, v, `SELECT count(*) FROM orders.idempotency_keys`,
		rule{says: "a customer's key has one order", sql: `
			SELECT customer, key, array_agg(order_id) AS order_ids FROM orders.idempotency_keys
			GROUP BY customer, key HAVING count(*) > 1`},
		rule{says: "an order was made under one key", sql: `
			SELECT order_id, array_agg(key) AS keys FROM orders.idempotency_keys GROUP BY order_id HAVING count(*) > 1`},
		rule{says: "an order of the last day has its key", sql: `
			SELECT o.id AS order_id, o.created_at FROM orders.orders o
			WHERE o.created_at > now() - ` + keysLive + ` AND NOT EXISTS (SELECT FROM orders.idempotency_keys k WHERE k.order_id = o.id)`},
		rule{says: "a key outlives the making of its order by a day", sql: `
			SELECT k.customer, k.key, k.order_id, k.created_at, k.expires_at FROM orders.idempotency_keys k
			WHERE k.expires_at < k.created_at + ` + keysLive},
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
			WHERE o.status IN ('FAILED', 'CANCELLED') AND p.state NOT IN ('DECLINED', 'REFUNDED', 'VOIDED') AND NOT ` + owedAgain("o.id")})
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
			      IS DISTINCT FROM (o.customer, o.status, o.payment_status, o.inventory_status, o.total_minor, o.currency)`},
		rule{says: "the read model shows the order's version, strategy, reason and times", sql: `
			SELECT o.id AS order_id, w.version AS shown_version, o.version, w.strategy AS shown_strategy, o.strategy, w.failure_reason AS shown_reason,
				o.failure_reason, w.created_at AS shown_created_at, o.created_at, w.ended_at AS shown_ended_at, o.ended_at
			FROM orders.orders o JOIN orders.view w ON w.id = o.id
			WHERE (w.version, w.strategy, w.failure_reason, date_trunc('milliseconds', w.created_at), date_trunc('milliseconds', w.ended_at))
			      IS DISTINCT FROM (o.version, o.strategy, o.failure_reason, date_trunc('milliseconds', o.created_at), date_trunc('milliseconds', o.ended_at))`},
		rule{says: "the read model shows the order's lines", sql: `
			SELECT coalesce(w.id, l.order_id) AS order_id, w.product_id AS shown, l.product_id AS ordered
			FROM (SELECT w.id, e.* FROM orders.view w, jsonb_to_recordset(w.lines)
			          AS e(product_id uuid, sku text, name text, quantity bigint, unit_price_minor bigint)) w
			FULL JOIN orders.lines l ON l.order_id = w.id AND l.product_id = w.product_id
			WHERE (w.product_id, w.sku, w.name, w.quantity, w.unit_price_minor)
			      IS DISTINCT FROM (l.product_id, l.sku, l.name, l.quantity, l.unit_price_minor)`})
}
