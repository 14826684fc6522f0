-- at: archived.go Service.archived
-- args: id(9500), 'bob'
SELECT id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
total_minor, currency, created_at, ended_at FROM (
		SELECT v.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month),
			jsonb_populate_record(NULL::orders.view, d.view) v
		WHERE a.id = $1 AND a.customer = $2) AS archived

-- at: archived.go Service.gone
-- args: id(9500), 'bob'
SELECT EXISTS (SELECT FROM orders.archived WHERE id = $1 AND customer = $2)

-- at: cancel.go Service.lockOwn
-- args: id(9500), 'optimistic-5x'
SELECT id, customer, strategy, coalesce(hold_id, '00000000-0000-0000-0000-000000000000'),
coalesce(cart_id, '00000000-0000-0000-0000-000000000000'), status, payment_status, inventory_status,
coalesce(failure_reason, ''), owes_stock, owes_money, asked, total_minor, currency, payment_method, version, deadline,
created_at, ended_at FROM orders.orders WHERE id = $1 AND customer = $2 FOR NO KEY UPDATE

-- at: customer.go Service.HoldsOf
-- args: 'bob', id(9500), '60000 ms', '200'
SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, greatest(o.deadline, now()) + $3::interval
FROM (SELECT id FROM orders.view WHERE customer = $1 ORDER BY id DESC LIMIT $4) v
JOIN orders.orders o USING (id) JOIN orders.lines l ON l.order_id = o.id AND l.product_id = $2
WHERE o.ended_at IS NULL AND o.hold_id IS NOT NULL AND o.inventory_status = 'NOT_STARTED'

-- at: customer.go Service.Over
-- args: ids(9500, 10)
SELECT hold_id FROM orders.orders WHERE ended_at IS NULL AND hold_id = ANY ($1)

-- at: customer.go Service.Over
-- args: 'ann', ids(9500, 10), '200'
SELECT l.product_id, max(o.ended_at) FROM (SELECT id FROM orders.view WHERE customer = $1 ORDER BY id DESC LIMIT $3) v
JOIN orders.orders o USING (id) JOIN orders.lines l ON l.order_id = o.id AND l.product_id = ANY ($2)
WHERE o.status = 'COMPLETED' GROUP BY 1

-- at: key.go Service.ForgetKeys
-- args: '500'
DELETE FROM orders.idempotency_keys WHERE (customer, key) IN (
SELECT customer, key FROM orders.idempotency_keys WHERE expires_at < now() ORDER BY expires_at LIMIT $1
FOR UPDATE SKIP LOCKED)

-- at: key.go orderOf
-- args: 'alice', '0', '\x7b7d', '00000000-0000-0000-0000-000000000000'
SELECT coalesce(k.order_id, $4), coalesce(k.fingerprint = $3, true), now.at
FROM (SELECT clock_timestamp() AS at) AS now
LEFT JOIN orders.idempotency_keys k ON k.customer = $1 AND k.key = $2 AND k.expires_at > now()

-- at: refresh.go overdueHolds
-- args: '60000 ms', now(), '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', '1000'
SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, now() + $1::interval, o.deadline
FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
WHERE o.ended_at IS NULL AND o.hold_id IS NOT NULL AND o.inventory_status = 'NOT_STARTED'
  AND o.deadline < now() AND o.deadline >= $2 AND (o.deadline, o.id, l.product_id) > ($2, $3, $4)
ORDER BY o.deadline, o.id, l.product_id LIMIT $5

-- at: store.go countUnderWay
SELECT count(*), count(*) FILTER (WHERE status = 'ENDING'), count(*) FILTER (WHERE payment_status = 'UNKNOWN')
FROM orders.orders WHERE ended_at IS NULL

-- at: store.go holdsOf
-- args: ids(9500, 10)
SELECT id, hold_id FROM orders.orders WHERE id = ANY ($1) AND hold_id IS NOT NULL

-- at: store.go insert
-- args: 'alice', 'key 9503', '\x7b7d', id(9500), '3600000 ms'
INSERT INTO orders.idempotency_keys AS k (customer, key, fingerprint, order_id, expires_at)
VALUES ($1, $2, $3, $4, now() + $5::interval)
ON CONFLICT (customer, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
	created_at = now(), expires_at = excluded.expires_at
WHERE k.expires_at < now()

-- at: store.go insert
-- args: id(9500), ids(9500, 10), '{"MUG"}', '{"Mug"}', '{"2"}', '{"1275"}'
INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor)
SELECT $1, * FROM unnest($2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])

-- at: store.go insert
-- args: id(9500), 'alice', 'optimistic', id(9500), '00000000-0000-0000-0000-000000000000', 'CREATED', 'NOT_STARTED', 'NOT_STARTED', '2550', 'GBP', 'pm_ok', now(), '00000000-0000-0000-0000-000000000000', now()
INSERT INTO orders.orders (id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status,
	total_minor, currency, payment_method, deadline, created_at)
VALUES ($1, $2, $3, nullif($4, $13::uuid), nullif($5, $13), $6, $7, $8, $9, $10, $11, $12, $14)

-- at: store.go linesOf
-- args: ids(9500, 10), '00000000-0000-0000-0000-000000000000'
SELECT o.id, o.customer, coalesce(o.hold_id, $2), o.total_minor, o.currency, o.payment_method, l.product_id, l.quantity
FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id WHERE o.id = ANY($1)

-- at: store.go lock
-- args: ids(9500, 10)
SELECT id, customer, strategy, coalesce(hold_id, '00000000-0000-0000-0000-000000000000'),
coalesce(cart_id, '00000000-0000-0000-0000-000000000000'), status, payment_status, inventory_status,
coalesce(failure_reason, ''), owes_stock, owes_money, asked, total_minor, currency, payment_method, version, deadline,
created_at, ended_at FROM orders.orders WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE

-- at: store.go lockOverdue
-- args: '2'
SELECT id, customer, strategy, coalesce(hold_id, '00000000-0000-0000-0000-000000000000'),
coalesce(cart_id, '00000000-0000-0000-0000-000000000000'), status, payment_status, inventory_status,
coalesce(failure_reason, ''), owes_stock, owes_money, asked, total_minor, currency, payment_method, version, deadline,
created_at, ended_at FROM orders.orders
	WHERE ended_at IS NULL AND deadline < now() AND status IN ('CREATED', 'PROCESSING')
	ORDER BY deadline LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED

-- at: store.go update
-- args: ids(9500, 10), '{"2"}', '{"PROCESSING"}', '{"PENDING"}', '{"RESERVED"}', '{""}', '{"false"}', '{"false"}', ids(9500, 10), '{NULL}', array_fill(now(), '{10}'), '{""}'
UPDATE orders.orders o SET version = u.version, status = u.status, payment_status = u.payment,
	inventory_status = u.inventory, failure_reason = nullif(u.reason, ''), owes_stock = u.owes_stock,
	owes_money = u.owes_money, last_fact = coalesce(u.fact, o.last_fact), ended_at = u.ended_at,
	deadline = u.deadline, asked = u.asked
FROM unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bool[], $8::bool[],
	$9::uuid[], $10::timestamptz[], $11::timestamptz[], $12::text[])
	AS u(id, version, status, payment, inventory, reason, owes_stock, owes_money, fact, ended_at, deadline, asked)
WHERE o.id = u.id AND o.version = u.version - 1
RETURNING o.id, CASE WHEN o.ended_at IS NOT NULL THEN (SELECT v.lines FROM orders.view v WHERE v.id = o.id) END

-- at: store_holds.go holdsOfOne
SELECT o.id, o.customer, o.hold_id, l.product_id, l.quantity, greatest(o.deadline, now()) + $3::interval
FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
WHERE o.hold_id = $1 AND o.ended_at IS NULL AND o.inventory_status = 'NOT_STARTED' AND l.product_id = ANY ($2)

-- at: store_holds.go liveHolds
-- args: ids(9500, 10), '00000000-0000-0000-0000-000000000000', '60000 ms', '00000000-0000-0000-0000-000000000000', '1000'
-- allow filter: the orders under way are few, and all their lines are looked through
SELECT o.id, o.customer, coalesce(o.hold_id, $2), coalesce(l.product_id, $2), coalesce(l.quantity, 0), greatest(o.deadline, now()) + $3::interval
FROM (
	SELECT id, customer, hold_id, deadline, hold_id IS NOT NULL AND inventory_status = 'NOT_STARTED' AS holds
	FROM orders.orders WHERE ended_at IS NULL AND id > $4 ORDER BY id LIMIT $5
) o
LEFT JOIN LATERAL (
	SELECT product_id, quantity FROM orders.lines WHERE o.holds AND order_id = o.id AND product_id = ANY ($1) OFFSET 0 -- by its key
) l ON true
ORDER BY o.id

-- at: view.go Service.Get
-- args: id(9500), 'alice'
SELECT id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
total_minor, currency, created_at, ended_at FROM orders.view WHERE id = $1 AND customer = $2

-- at: view.go Service.List
-- args: 'alice', id(9500), '201', '262144', '200'
SELECT id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
total_minor, currency, created_at, ended_at, found FROM (
		SELECT id, archived, sum(bytes) OVER newest - bytes AS bytes_before, count(*) OVER () AS found FROM (
			(SELECT id, pg_column_size(lines) AS bytes, NULL::jsonb AS archived FROM orders.view WHERE customer = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
			UNION ALL
			(SELECT id, pg_column_size(view), view FROM archive.orders WHERE customer = $1 AND id < $2 ORDER BY id DESC LIMIT $3)
			ORDER BY id DESC LIMIT $3
		) AS page WINDOW newest AS (ORDER BY id DESC)
	) AS sized JOIN LATERAL (
		SELECT w.* FROM orders.view w WHERE w.id = sized.id AND archived IS NULL
		UNION ALL SELECT w.* FROM jsonb_populate_record(NULL::orders.view, archived) w WHERE archived IS NOT NULL
	) AS v USING (id) WHERE bytes_before < $4 ORDER BY id DESC LIMIT $5

-- at: view.go queueView
-- args: id(9500), 'alice', 'optimistic', '1', 'CREATED', 'NOT_STARTED', 'NOT_STARTED', 'PROCESSING', '[]', '2550', 'GBP', now()
INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status,
	lines, total_minor, currency, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)

-- at: view.go updateViews
-- args: ids(9500, 10), ids(9500, 10), '{"2"}', '{"PROCESSING"}', '{"PENDING"}', '{"RESERVED"}', '{"AWAITING_PAYMENT"}', '{""}', '{NULL}'
WITH said AS (
	SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
		$9::timestamptz[]) AS s(id, fact, version, status, payment, inventory, display, reason, ended_at)
), mine AS (
	SELECT v.id FROM orders.view v WHERE v.id = ANY($1) ORDER BY v.id FOR NO KEY UPDATE
)
UPDATE orders.view v SET version = s.version, status = s.status, payment_status = s.payment,
	inventory_status = s.inventory, display_status = s.display, failure_reason = nullif(s.reason, ''),
	last_fact = s.fact, ended_at = s.ended_at
FROM said s JOIN mine USING (id) WHERE v.id = s.id AND v.version < s.version

-- at: watch.go newsOf
-- args: ids(9500, 10), '{"0"}', '{"false"}'
SELECT id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
total_minor, currency, created_at, ended_at FROM orders.view JOIN unnest($1::uuid[], $2::bigint[], $3::bool[]) AS asked(id, seen, end_only) USING (id)
	WHERE version > seen AND (ended_at IS NOT NULL OR NOT end_only)
