-- at: archive.go archiver.page
-- args: '00000000-0000-0000-0000-000000000000', '20', now()
SELECT id, created_at >= $3 FROM orders.orders WHERE id > $1 ORDER BY id LIMIT $2

-- at: archive.go cutoff
-- args: '7776000000 ms'
SELECT least(now() - $1::interval, (SELECT to_timestamp(min(substr(c.relname, 7)), 'YYYYMMDD') - interval '1 hour'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.inbox'::regclass))

-- at: judge.go judgeSQL
-- args: ids(9500, 10), now()
SELECT o.id, coalesce(date_trunc('month', o.ended_at AT TIME ZONE 'UTC')::date, o.created_at::date), CASE
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
	WHEN NOT (
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
	WHERE o.status = 'COMPLETED' AND w.quantity IS DISTINCT FROM l.quantity)) THEN 'its rows do not agree: see the audit'
	ELSE '' END
FROM orders.orders o
WHERE o.id = ANY ($1) AND (o.ended_at < $2 OR o.ended_at IS NULL AND o.created_at < $2) ORDER BY o.id

-- at: months.go List
SELECT m.month, m.orders, CASE WHEN i.inhrelid IS NULL THEN m.orders ELSE m.gone END,
	CASE WHEN i.inhrelid IS NULL THEN '' ELSE 'archive.' || c.relname END,
	CASE WHEN i.inhrelid IS NULL THEN 0 ELSE pg_total_relation_size(c.oid) END
FROM archive.months m
LEFT JOIN pg_class c ON c.relnamespace = 'archive'::regnamespace AND c.relname = to_char(m.month, '"orders_"YYYYMM')
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'archive.orders'::regclass
ORDER BY m.month

-- at: months.go archiver.makeMonth
INSERT INTO archive.months AS m (month) VALUES ('2026-05-01') ON CONFLICT (month) DO UPDATE SET gone = m.orders, documents = 0

-- at: months.go archiver.makeMonth
INSERT INTO archive.months AS m (month) VALUES ('2026-06-01') ON CONFLICT (month) DO UPDATE SET gone = m.orders, documents = 0

-- at: months.go archiver.makeMonth
INSERT INTO archive.months AS m (month) VALUES ('2026-08-01') ON CONFLICT (month) DO UPDATE SET gone = m.orders, documents = 0

-- at: months.go places
SELECT c.relname, i.inhrelid IS NOT NULL AND NOT i.inhdetachpending FROM pg_class c
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = 'archive.orders'::regclass
WHERE c.relnamespace = 'archive'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^orders_[0-9]{6}$'

-- at: move.go carriedSQL
-- args: ids(9500, 10)
INSERT INTO inventory.carried AS c (product_id, taken, movements, chain)
SELECT product_id, -sum(quantity), count(*), sum(inventory.link(balance - quantity, balance))
FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY product_id ORDER BY product_id
ON CONFLICT (product_id) DO UPDATE SET taken = c.taken + excluded.taken, movements = c.movements + excluded.movements, chain = c.chain + excluded.chain

-- at: move.go documentsSQL
-- args: ids(9500, 10)
WITH put AS (
	INSERT INTO archive.orders (id, month, customer, view, rows)
	SELECT o.id, date_trunc('month', o.ended_at AT TIME ZONE 'UTC')::date, o.customer, (SELECT to_jsonb(v) FROM orders.view v WHERE v.id = o.id), jsonb_build_object('orders.lines', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM orders.lines t WHERE t.order_id = o.id), '[]'), 'inventory.reservation_lines', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM inventory.reservation_lines t WHERE t.order_id = o.id), '[]'), 'inventory.reservations', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM inventory.reservations t WHERE t.order_id = o.id), '[]'), 'inventory.movements', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM inventory.movements t WHERE t.order_id = o.id), '[]'), 'payment.attempts', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM payment.attempts t WHERE t.order_id = o.id), '[]'), 'payment.acts', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM payment.acts t WHERE t.order_id = o.id), '[]'), 'payment.transfers', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM payment.transfers t WHERE t.order_id = o.id), '[]'), 'payment.payments', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM payment.payments t WHERE t.order_id = o.id), '[]'), 'orders.orders', coalesce((SELECT jsonb_agg(to_jsonb(t)) FROM orders.orders t WHERE t.id = o.id), '[]'))
	FROM orders.orders o WHERE o.id = ANY ($1) RETURNING rows)
SELECT coalesce(sum(jsonb_array_length(rows->'orders.lines')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'inventory.reservation_lines')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'inventory.reservations')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'inventory.movements')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'payment.attempts')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'payment.acts')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'payment.transfers')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'payment.payments')), 0)::bigint, coalesce(sum(jsonb_array_length(rows->'orders.orders')), 0)::bigint FROM put

-- at: move.go knownSQL
-- args: ids(9500, 10)
INSERT INTO orders.archived (id, customer, month) SELECT o.id, o.customer, date_trunc('month', o.ended_at AT TIME ZONE 'UTC')::date FROM orders.orders o WHERE o.id = ANY ($1)

-- at: move.go lock
-- args: ids(9500, 10)
SELECT FROM inventory.reservations WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE

-- at: move.go lock
-- args: ids(9500, 10)
SELECT FROM payment.payments WHERE order_id = ANY ($1) ORDER BY order_id FOR UPDATE

-- at: move.go lock
-- args: ids(9500, 10)
SELECT id FROM orders.orders WHERE id = ANY ($1) ORDER BY id FOR UPDATE SKIP LOCKED

-- at: move.go moneySQL
-- args: ids(9500, 10)
INSERT INTO payment.archived (order_id, month, state, amount_minor, currency, opened_as, charge_id, refund_id, provider, account, settled)
SELECT p.order_id, date_trunc('month', o.ended_at AT TIME ZONE 'UTC')::date, p.state, p.amount_minor, p.currency, p.opened_as, p.charge_id, p.refund_id, nullif(p.provider, ''), nullif(p.account, ''),
	(SELECT coalesce(a.outcome, 'refunded') FROM payment.acts a WHERE a.order_id = p.order_id AND a.act = 'settle' ORDER BY a.at DESC, a.id DESC LIMIT 1)
FROM payment.payments p JOIN orders.orders o ON o.id = p.order_id WHERE p.order_id = ANY ($1)

-- at: move.go monthsSQL
-- args: ids(9500, 10)
INSERT INTO archive.months AS m (month, orders, movements, payments, known, money, documents)
SELECT a.month, count(*), sum(jsonb_array_length(d.rows->'inventory.movements')), count(p.order_id),
	sum(archive.digest(jsonb_strip_nulls(to_jsonb(a))::text)), coalesce(sum(archive.digest(jsonb_strip_nulls(to_jsonb(p))::text)), 0), sum(archive.digest(d.view::text || d.rows::text))
FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month) LEFT JOIN payment.archived p ON p.order_id = a.id
WHERE a.id = ANY ($1) GROUP BY a.month
ON CONFLICT (month) DO UPDATE SET orders = m.orders + -1 * excluded.orders, movements = m.movements + -1 * excluded.movements,
	payments = m.payments + -1 * excluded.payments, known = m.known + -1 * excluded.known, money = m.money + -1 * excluded.money,
	documents = m.documents + -1 * excluded.documents, last_at = now()

-- at: move.go monthsSQL
-- args: ids(9500, 10)
INSERT INTO archive.months AS m (month, orders, movements, payments, known, money, documents)
SELECT a.month, count(*), sum(jsonb_array_length(d.rows->'inventory.movements')), count(p.order_id),
	sum(archive.digest(jsonb_strip_nulls(to_jsonb(a))::text)), coalesce(sum(archive.digest(jsonb_strip_nulls(to_jsonb(p))::text)), 0), sum(archive.digest(d.view::text || d.rows::text))
FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month) LEFT JOIN payment.archived p ON p.order_id = a.id
WHERE a.id = ANY ($1) GROUP BY a.month
ON CONFLICT (month) DO UPDATE SET orders = m.orders + 1 * excluded.orders, movements = m.movements + 1 * excluded.movements,
	payments = m.payments + 1 * excluded.payments, known = m.known + 1 * excluded.known, money = m.money + 1 * excluded.money,
	documents = m.documents + 1 * excluded.documents, last_at = now()

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM inventory.movements WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM inventory.reservation_lines WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM inventory.reservations WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM orders.lines WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM orders.orders WHERE id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM orders.view WHERE id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM payment.acts WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM payment.attempts WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM payment.payments WHERE order_id = ANY ($1)

-- at: move.go write
-- args: ids(9500, 10)
DELETE FROM payment.transfers WHERE order_id = ANY ($1)

-- at: restore.go Restore
-- args: id(9500)
SELECT EXISTS (SELECT FROM archive.orders d WHERE (d.id, d.month) = (a.id, a.month)) FROM orders.archived a WHERE a.id = $1 FOR UPDATE

-- at: restore.go back
-- args: ids(9500, 10)
DELETE FROM archive.orders d USING orders.archived a WHERE (d.id, d.month) = (a.id, a.month) AND a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
DELETE FROM inventory.carried c USING (SELECT product_id, count(*) AS n FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY 1) m
WHERE m.product_id = c.product_id AND m.n = c.movements

-- at: restore.go back
-- args: ids(9500, 10)
DELETE FROM orders.archived WHERE id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
DELETE FROM payment.archived WHERE order_id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO inventory.movements SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::inventory.movements, d.rows->'inventory.movements') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO inventory.reservation_lines SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::inventory.reservation_lines, d.rows->'inventory.reservation_lines') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO inventory.reservations SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::inventory.reservations, d.rows->'inventory.reservations') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO orders.lines SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::orders.lines, d.rows->'orders.lines') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO orders.orders SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::orders.orders, d.rows->'orders.orders') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO orders.view SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_record(NULL::orders.view, d.view) t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO payment.acts SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::payment.acts, d.rows->'payment.acts') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO payment.attempts SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::payment.attempts, d.rows->'payment.attempts') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO payment.payments SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::payment.payments, d.rows->'payment.payments') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
INSERT INTO payment.transfers SELECT t.* FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month), jsonb_populate_recordset(NULL::payment.transfers, d.rows->'payment.transfers') t WHERE a.id = ANY ($1)

-- at: restore.go back
-- args: ids(9500, 10)
UPDATE inventory.carried c SET taken = c.taken - m.taken, movements = c.movements - m.n, chain = c.chain - m.chain
FROM (SELECT product_id, -sum(quantity) AS taken, count(*) AS n, sum(inventory.link(balance - quantity, balance)) AS chain
      FROM inventory.movements WHERE order_id = ANY ($1) GROUP BY product_id) m WHERE m.product_id = c.product_id
