-- The statements of one order on its way, as the modules' stores send them, for pgbench -M prepared. A step is one verb
-- with one order: what it does over the wire is what the engine does with a batch of one, in the same transactions, with
-- the same round trips. What the engine does in Go between the statements is left out, and so are HTTP, Redis, RabbitMQ,
-- the relay and the provider.
--
-- The runner puts the steps of a strategy together and writes down the script that it has run. Steps that touch order
-- lines are in set.sql (one statement for all lines) and in rows.sql (a statement for each line).

-- step: next
\set n :first + :client_id * :per_client + :i
\set i :i + 1

-- step: seen
SELECT order_id, fingerprint = :print::bytea FROM orders.idempotency_keys
WHERE customer = :customer AND key = :key AND expires_at > now();

-- step: charge
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'payment', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_reserved::uuid], ARRAY['stock.reserved'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key,
                              cause, traceparent, undo_cause, undo_traceparent, due_at)
SELECT order_id, state, strategy, amount, currency, method, charge_key, refund_key,
       cause, trace, nullif(undo, '00000000-0000-0000-0000-000000000000'), undo_trace, CASE WHEN state = 'PENDING' THEN now() END
FROM unnest(ARRAY[:order_id::uuid], ARRAY['PENDING'], ARRAY[:strategy::text], ARRAY[:total::bigint], ARRAY['GBP'], ARRAY['pm_ok'],
            ARRAY['charge-' || :order_id::text], ARRAY['refund-' || :order_id::text], ARRAY[:f_reserved::uuid], ARRAY[''],
            ARRAY['00000000-0000-0000-0000-000000000000'::uuid], ARRAY[''])
     AS w(order_id, state, strategy, amount, currency, method, charge_key, refund_key, cause, trace, undo, undo_trace)
ORDER BY order_id ON CONFLICT (order_id) DO NOTHING RETURNING order_id;
COMMIT;

-- step: claim
-- The engine claims whatever is due, by the index of what is due; here an order's own payment is claimed, so that a client
-- never waits for another's.
UPDATE payment.payments p
SET leased_until = now() + 30000 * interval '1 millisecond', claim = p.claim + 1, tries = p.tries + 1,
    attempted_at = coalesce(p.attempted_at, now()), provider = 'sandbox', account = 'reference',
    refund_attempted_at = CASE WHEN p.state = 'REFUNDING' THEN coalesce(p.refund_attempted_at, now()) END
FROM (SELECT order_id FROM payment.payments
      WHERE order_id = :order_id::uuid AND due_at <= now() AND (leased_until IS NULL OR leased_until <= now())
      FOR UPDATE SKIP LOCKED) AS due
WHERE p.order_id = due.order_id
RETURNING p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.claim, p.tries;

-- step: settle
BEGIN;
SELECT p.order_id, p.state, p.strategy, p.amount_minor, p.currency, p.payment_method, p.cause, p.claim, p.tries
FROM payment.payments p WHERE p.order_id = ANY(ARRAY[:order_id::uuid]) ORDER BY p.order_id FOR UPDATE;
UPDATE payment.payments p
SET state = c.state, charge_id = nullif(c.charge_id, ''), refund_id = nullif(c.refund_id, ''), reason = c.reason,
    undo_cause = nullif(c.undo, '00000000-0000-0000-0000-000000000000'), undo_traceparent = c.undo_trace, tries = c.tries,
    due_at = CASE WHEN c.state IN ('PENDING', 'UNKNOWN', 'REFUNDING') THEN now() + c.due_in * interval '1 millisecond' END,
    leased_until = CASE WHEN c.keep_lease THEN p.leased_until END, changed_at = now()
FROM unnest(ARRAY[:order_id::uuid], ARRAY['SUCCESS'], ARRAY['ch_' || :order_id::text], ARRAY[''], ARRAY[''],
            ARRAY['00000000-0000-0000-0000-000000000000'::uuid], ARRAY[''], ARRAY[1], ARRAY[0::bigint], ARRAY[false])
     AS c(order_id, state, charge_id, refund_id, reason, undo, undo_trace, tries, due_in, keep_lease)
WHERE p.order_id = c.order_id;
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
SELECT id, name, strategy, order_id, cause, body
FROM unnest(ARRAY[:f_processed::uuid], ARRAY['payment.processed'], ARRAY[:strategy::text], ARRAY[:order_id::uuid], ARRAY[:f_reserved::uuid],
            ARRAY[convert_to(:processed_body::text, 'UTF8')]) AS f(id, name, strategy, order_id, cause, body);
COMMIT;

-- step: advance
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'order', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_reserved::uuid], ARRAY['stock.reserved'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
SELECT id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status, failure_reason, owes_stock, owes_money,
       total_minor, currency, payment_method, version, deadline, created_at, ended_at
FROM orders.orders WHERE id = ANY(ARRAY[:order_id::uuid]) ORDER BY id FOR NO KEY UPDATE;
UPDATE orders.orders o SET version = u.version, status = u.status, payment_status = u.payment,
	inventory_status = u.inventory, failure_reason = nullif(u.reason, ''), owes_stock = u.owes_stock,
	owes_money = u.owes_money, last_fact = coalesce(u.fact, o.last_fact), ended_at = u.ended_at
FROM unnest(ARRAY[:order_id::uuid], ARRAY[2::bigint], ARRAY['PROCESSING'], ARRAY['PENDING'], ARRAY['RESERVED'],
            ARRAY[''], ARRAY[false], ARRAY[false], ARRAY[:f_reserved::uuid], ARRAY[NULL::timestamptz])
     AS u(id, version, status, payment, inventory, reason, owes_stock, owes_money, fact, ended_at)
WHERE o.id = u.id AND o.version = u.version - 1;
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
SELECT id, name, strategy, order_id, cause, body
FROM unnest(ARRAY[:f_updated::uuid], ARRAY['order.updated'], ARRAY[:strategy::text], ARRAY[:order_id::uuid], ARRAY[:f_reserved::uuid],
            ARRAY[convert_to(:updated_body::text, 'UTF8')]) AS f(id, name, strategy, order_id, cause, body);
COMMIT;

-- step: complete
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'order', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_processed::uuid], ARRAY['payment.processed'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
SELECT id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status, failure_reason, owes_stock, owes_money,
       total_minor, currency, payment_method, version, deadline, created_at, ended_at
FROM orders.orders WHERE id = ANY(ARRAY[:order_id::uuid]) ORDER BY id FOR NO KEY UPDATE;
UPDATE orders.orders o SET version = u.version, status = u.status, payment_status = u.payment,
	inventory_status = u.inventory, failure_reason = nullif(u.reason, ''), owes_stock = u.owes_stock,
	owes_money = u.owes_money, last_fact = coalesce(u.fact, o.last_fact), ended_at = u.ended_at
FROM unnest(ARRAY[:order_id::uuid], ARRAY[3::bigint], ARRAY['COMPLETED'], ARRAY['SUCCESS'], ARRAY['RESERVED'],
            ARRAY[''], ARRAY[false], ARRAY[false], ARRAY[:f_processed::uuid], ARRAY[now()])
     AS u(id, version, status, payment, inventory, reason, owes_stock, owes_money, fact, ended_at)
WHERE o.id = u.id AND o.version = u.version - 1;
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
SELECT id, name, strategy, order_id, cause, body
FROM unnest(ARRAY[:f_completed::uuid], ARRAY['order.completed'], ARRAY[:strategy::text], ARRAY[:order_id::uuid], ARRAY[:f_processed::uuid],
            ARRAY[convert_to(:completed_body::text, 'UTF8')]) AS f(id, name, strategy, order_id, cause, body);
COMMIT;

-- step: show-updated
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'view', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_updated::uuid], ARRAY['order.updated'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
WITH said AS (
	SELECT * FROM unnest(ARRAY[:order_id::uuid], ARRAY[:f_updated::uuid], ARRAY[2::bigint], ARRAY['PROCESSING'], ARRAY['PENDING'],
		ARRAY['RESERVED'], ARRAY['AWAITING_PAYMENT'], ARRAY[''], ARRAY[NULL::timestamptz])
		AS s(id, fact, version, status, payment, inventory, display, reason, ended_at)
), mine AS (
	SELECT v.id FROM orders.view v WHERE v.id = ANY(ARRAY[:order_id::uuid]) ORDER BY v.id FOR NO KEY UPDATE
)
UPDATE orders.view v SET version = s.version, status = s.status, payment_status = s.payment,
	inventory_status = s.inventory, display_status = s.display, failure_reason = nullif(s.reason, ''),
	last_fact = s.fact, ended_at = s.ended_at
FROM said s JOIN mine USING (id) WHERE v.id = s.id AND v.version < s.version;
COMMIT;

-- step: show-completed
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'view', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_completed::uuid], ARRAY['order.completed'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
WITH said AS (
	SELECT * FROM unnest(ARRAY[:order_id::uuid], ARRAY[:f_completed::uuid], ARRAY[3::bigint], ARRAY['COMPLETED'], ARRAY['SUCCESS'],
		ARRAY['RESERVED'], ARRAY['COMPLETED'], ARRAY[''], ARRAY[now()])
		AS s(id, fact, version, status, payment, inventory, display, reason, ended_at)
), mine AS (
	SELECT v.id FROM orders.view v WHERE v.id = ANY(ARRAY[:order_id::uuid]) ORDER BY v.id FOR NO KEY UPDATE
)
UPDATE orders.view v SET version = s.version, status = s.status, payment_status = s.payment,
	inventory_status = s.inventory, display_status = s.display, failure_reason = nullif(s.reason, ''),
	last_fact = s.fact, ended_at = s.ended_at
FROM said s JOIN mine USING (id) WHERE v.id = s.id AND v.version < s.version;
COMMIT;

-- step: shelf
-- Redis is not here: only the shelf's inbox row, which follows it.
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'shelf', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_reserved::uuid], ARRAY['stock.reserved'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;

-- step: read
SELECT id, status, payment_status, inventory_status, display_status, failure_reason, strategy, version, lines,
       total_minor, currency, created_at, ended_at
FROM orders.view WHERE id = :order_id::uuid AND customer = :customer;
