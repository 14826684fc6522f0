-- at: carts.go pass.changedCarts
-- args: now(), id(9500), now(), '500'
SELECT id, changed_at FROM cart.carts WHERE (changed_at, id) > ($1, $2) AND changed_at <= $3 ORDER BY changed_at, id LIMIT $4

-- at: carts.go pass.compareOpenCarts
-- args: '00000000-0000-0000-0000-000000000000', '10000'
SELECT id FROM cart.carts WHERE state = 'OPEN' AND id > $1 ORDER BY id LIMIT $2

-- at: carts.go pass.readCarts
-- args: ids(9500, 10), '60 ms'
SELECT i.id, coalesce(c.turn, 0), coalesce((extract(epoch FROM c.expires_at) * 1000)::bigint, 0), coalesce(c.expires_at > now(), false),
	coalesce(c.changed_at > now() - $2::interval, false), l.product_id, l.quantity
FROM unnest($1::uuid[]) AS i(id)
LEFT JOIN cart.carts c ON c.id = i.id
LEFT JOIN cart.lines l ON l.cart_id = c.id AND c.state = 'OPEN'

-- at: forget.go Memory.enter
-- args: id(9500), '0', id(9500), now()
UPDATE shared.redis_memory SET epoch = $3, beat = beat + 1, at = $4 WHERE epoch = $1 AND beat = $2

-- at: forget.go Memory.refill
SELECT DISTINCT l.product_id FROM orders.orders o JOIN orders.lines l ON l.order_id = o.id
WHERE o.ended_at IS NULL AND o.inventory_status = 'NOT_STARTED'

-- at: forget.go Memory.refill
-- args: ids(9500, 10), ids(9500, 10)
SELECT p FROM unnest($1::uuid[]) AS p WHERE p = ANY($2) OR EXISTS (
SELECT FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
WHERE l.product_id = p AND l.held AND c.state = 'OPEN' AND c.expires_at > now())

-- at: holds.go expectedSQL
-- args: ids(9500, 10), '60 ms', '60000 ms', '1000 ms'
-- allow filter: the orders under way are few, and all their lines are looked through; carts that have expired keep theirs for a day
-- allow growth: it reads the lines of a product in all carts of a day
WITH under_way AS MATERIALIZED ( -- few, found by an index of their own, among many lines
	SELECT id, customer, hold_id, deadline, created_at FROM orders.orders WHERE ended_at IS NULL AND hold_id IS NOT NULL
)
SELECT l.product_id, c.id, l.quantity, (extract(epoch FROM c.expires_at) * 1000)::bigint,
	(extract(epoch FROM c.expires_at - $4::interval) * 1000)::bigint, (extract(epoch FROM c.expires_at + $4::interval) * 1000)::bigint, false, c.changed_at > now() - $2::interval, c.customer
FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
WHERE l.product_id = ANY($1) AND l.held AND c.state = 'OPEN' AND c.expires_at IS NOT NULL
UNION ALL
SELECT l.product_id, o.hold_id, l.quantity, (extract(epoch FROM greatest(o.deadline, now()) + $3::interval) * 1000)::bigint,
	(extract(epoch FROM greatest(o.deadline + $3::interval, now() + $3::interval / 3) - $4::interval) * 1000)::bigint,
	(extract(epoch FROM greatest(o.deadline, now()) + 2 * $3::interval) * 1000)::bigint, true,
	o.created_at > now() - $2::interval, o.customer
FROM under_way o CROSS JOIN LATERAL (SELECT * FROM orders.lines WHERE order_id = o.id OFFSET 0) l
WHERE l.product_id = ANY($1) AND NOT EXISTS (SELECT FROM inventory.reservations r WHERE r.order_id = o.id AND (r.state <> 'GATHERING'
	OR EXISTS (SELECT FROM inventory.reservation_lines t WHERE t.order_id = o.id AND t.product_id = l.product_id))) -- its lanes take one by one

-- at: holds.go ownersSQL
-- args: ids(9500, 10), '60 ms'
SELECT i.id, l.changed < now() - $2::interval AND NOT l.open, l.changed > now() - $2::interval
FROM unnest($1::uuid[]) AS i(id)
LEFT JOIN cart.carts c ON c.id = i.id
LEFT JOIN orders.orders o ON o.id = coalesce(c.order_id, i.id)
LEFT JOIN inventory.reservations r ON r.order_id = o.id,
LATERAL (SELECT greatest(c.changed_at, o.created_at, o.ended_at, r.decided_at, r.released_at) AS changed, coalesce(c.state = 'OPEN', false) AS open) l
WHERE c.id IS NOT NULL OR o.id IS NOT NULL

-- at: memory.go Memory.beat
-- args: id(9500), '1', now()
UPDATE shared.redis_memory SET beat = beat + 1, at = $3 WHERE epoch = $1 AND beat = $2

-- at: memory.go Memory.look
SELECT epoch, beat, at, clock_timestamp() FROM shared.redis_memory

-- at: orphans.go pass.compareOrphanCarts
-- args: ids(9500, 10)
SELECT i.id FROM unnest($1::uuid[]) AS i(id) WHERE NOT EXISTS (SELECT FROM cart.carts c WHERE c.id = i.id AND c.state = 'OPEN')

-- at: orphans.go pass.compareOrphanProducts
-- args: ids(9500, 10)
SELECT i.id FROM unnest($1::uuid[]) AS i(id) WHERE NOT EXISTS (SELECT FROM inventory.stock s WHERE s.product_id = i.id)

-- at: products.go pass.productsOf
-- args: '00000000-0000-0000-0000-000000000000', '10000', now(), now()
SELECT product_id FROM (
	SELECT product_id FROM inventory.movements WHERE at > $3 AND at <= $4
	UNION
	SELECT l.product_id FROM cart.carts c CROSS JOIN LATERAL (SELECT product_id FROM cart.lines WHERE cart_id = c.id OFFSET 0) l
	WHERE c.changed_at > $3 AND c.changed_at <= $4
	UNION
	SELECT l.product_id FROM orders.lines l
	WHERE l.order_id >= shared.uuid_from($3 - interval '1 minute') AND l.order_id <= shared.uuid_from($4)
) changed WHERE product_id > $1 ORDER BY product_id LIMIT $2

-- at: stock.go pass.readRows
-- args: ids(9500, 10), '60 ms'
SELECT product_id, available, version, changed_at > now() - $2::interval FROM inventory.stock WHERE product_id = ANY($1)

-- at: store.go Reconciler.ForgetRuns
-- args: '2592000000 ms', '1000'
DELETE FROM shared.reconciliation_differences WHERE ctid = ANY (ARRAY(
SELECT d.ctid FROM shared.reconciliations r JOIN shared.reconciliation_differences d ON d.run_id = r.id
WHERE r.started_at < now() - $1::interval ORDER BY r.started_at LIMIT $2))

-- at: store.go Reconciler.ForgetRuns
-- args: '2592000000 ms', '1000'
DELETE FROM shared.reconciliations WHERE id = ANY (ARRAY(
SELECT r.id FROM shared.reconciliations r WHERE r.started_at < now() - $1::interval
AND (SELECT d.n FROM shared.reconciliation_differences d WHERE d.run_id = r.id LIMIT 1) IS NULL ORDER BY r.started_at LIMIT $2))

-- at: store.go Reconciler.Runs
-- args: '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', '3'
SELECT id, scope, everything, dry_run, started_at, ended_at, seconds, compared, drifted, repaired, error FROM shared.reconciliations WHERE $1::uuid = $2::uuid OR id < $1 ORDER BY id DESC LIMIT $3

-- at: store.go Reconciler.memoryLost
SELECT epoch FROM shared.reconcile_mark

-- at: store.go Reconciler.ranWithin
-- args: '150000 ms'
SELECT coalesce(max(ended_at) > now() - $1::interval, false) FROM shared.reconciliations WHERE error = '' AND NOT dry_run

-- at: store.go addDifferences
-- args: ids(9500, 10), '100'
SELECT run_id, pair, key, redis, postgres, action FROM shared.reconciliation_differences
WHERE run_id = ANY($1) AND n <= $2 ORDER BY run_id, n

-- at: store.go pass.end
-- args: now(), id(9500), 'true'
INSERT INTO shared.reconcile_mark AS m (mark, epoch) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET mark = excluded.mark, epoch = CASE WHEN $3 THEN excluded.epoch ELSE m.epoch END
RETURNING epoch

-- at: store.go pass.end
-- args: id(9500), 0.637852452, '8400', '400', '400', ''
UPDATE shared.reconciliations SET ended_at = now(), seconds = $2, compared = $3, drifted = $4, repaired = $5, error = $6
WHERE id = $1 RETURNING ended_at

-- at: store.go pass.start
-- args: id(9500), 'full', 'true', 'false', '1', now()
INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, started_at) VALUES ($1, $2, $3, $4, $5, $6)

-- at: store.go pass.start
-- args: '60 ms'
SELECT (SELECT mark FROM shared.reconcile_mark), now(), now() - $1::interval

-- at: store.go storeDifferences
-- args: id(9500), '0', '{"cart", "cart", "cart"}', '{"cart:{a}"}', '{"", "", ""}', '{"turn 1, expires 1796029624030, eb2245f1-2c79-43cb-b672-80072301422c: 2", "turn 1, expires 1796029624030, ce322c93-1c15-4905-ac21-99232eebe646: 2", "turn 1, expires 1796029624030, d9f21503-ed93-47a3-91a2-68f2c8e38f98: 2"}', '{"repaired", "repaired", "repaired"}'
INSERT INTO shared.reconciliation_differences (run_id, n, pair, key, redis, postgres, action)
SELECT $1, $2 + d.n, d.pair, d.key, d.redis, d.postgres, d.action
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[]) WITH ORDINALITY AS d(pair, key, redis, postgres, action, n)
