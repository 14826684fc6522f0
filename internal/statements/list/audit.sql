-- at: archive.go archivedMoney
-- args: 'what is known of archived payments is what was archived'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(m.month, s.month) AS month, m.payments, s.n AS found, m.money AS digest, s.digest AS found_digest
FROM archive.months m FULL JOIN (SELECT r.month, count(*) AS n, sum(archive.digest(jsonb_strip_nulls(to_jsonb(r))::text)) AS digest FROM payment.archived r GROUP BY r.month) s ON s.month = m.month
WHERE (coalesce(m.payments, 0), coalesce(m.money, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))) q LIMIT 10) r

-- at: archive.go archivedOrders
-- args: 'what is known of archived orders is what was archived'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(m.month, s.month) AS month, m.orders, s.n AS found, m.known AS digest, s.digest AS found_digest
FROM archive.months m FULL JOIN (SELECT r.month, count(*) AS n, sum(archive.digest(jsonb_strip_nulls(to_jsonb(r))::text)) AS digest FROM orders.archived r GROUP BY r.month) s ON s.month = m.month
WHERE (coalesce(m.orders, 0), coalesce(m.known, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))) q LIMIT 10) r

-- at: archive.go archivedTwice
-- args: 'an archived order is archived as a whole'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT a.id AS order_id, a.month FROM orders.archived a JOIN orders.orders o ON o.id = a.id
UNION ALL SELECT a.order_id, a.month FROM payment.archived a JOIN payment.payments p ON p.order_id = a.order_id
UNION ALL SELECT a.order_id, a.month FROM payment.archived a WHERE NOT EXISTS (SELECT FROM orders.archived o WHERE (o.id, o.month) = (a.order_id, a.month))) q LIMIT 10) r

-- at: archive.go carriedMovements
-- args: 'the movements that products carry are those of archived orders'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT c.n AS carried, m.n AS archived FROM (SELECT coalesce(sum(movements), 0) AS n FROM inventory.carried) c,
	(SELECT coalesce(sum(movements), 0) AS n FROM archive.months) m
WHERE c.n <> m.n) q LIMIT 10) r

-- at: archive.go documents
-- args: 'a month''s documents are those that were archived'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT t.month, m.orders - m.gone AS orders, s.n AS found, m.documents AS digest, s.digest AS found_digest
FROM (
SELECT to_date(substr(c.relname, 8), 'YYYYMM') AS month FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'archive.orders'::regclass AND NOT i.inhdetachpending) t LEFT JOIN archive.months m ON m.month = t.month
LEFT JOIN (SELECT d.month, count(*) AS n, sum(archive.digest(d.view::text || d.rows::text)) AS digest FROM archive.orders d GROUP BY d.month) s ON s.month = t.month
WHERE (coalesce(m.orders - m.gone, 0), coalesce(m.documents, 0)) <> (coalesce(s.n, 0), coalesce(s.digest, 0))) q LIMIT 10) r

-- at: archive.go proveArchive
SELECT coalesce(sum(orders), 0)::bigint FROM archive.months

-- at: archive.go strayDocuments
-- args: 'a document is of an order that was archived'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT d.id AS order_id, d.month FROM archive.orders d LEFT JOIN orders.archived a ON a.id = d.id
WHERE (a.customer, a.month) IS DISTINCT FROM (d.customer, d.month)) q LIMIT 10) r

-- at: carts.go readCarts
-- args: ids(9500, 10), now()
SELECT c.id, concat_ws(', ', 'version ' || c.turn, 'expires ' || (extract(epoch FROM c.expires_at) * 1000)::bigint,
	string_agg(l.product_id || ' ' || l.quantity, ', ' ORDER BY l.product_id))
FROM cart.carts c LEFT JOIN cart.lines l ON l.cart_id = c.id
WHERE c.id = ANY($1) AND c.state = 'OPEN' AND c.expires_at > $2 GROUP BY c.id

-- at: desk.go books.forget
-- args: 'sandbox', ''
DELETE FROM audit_entries WHERE (provider, account) = ($1, $2)

-- at: desk.go byHandSQL
WITH ours AS (
	UPDATE audit_entries r SET order_id = c.order_id FROM audit_entries c
	WHERE r.kind <> 'charge' AND r.key = '' AND c.kind = 'charge' AND (c.provider, c.account, c.id) = (r.provider, r.account, r.charge_id) RETURNING r.id)
DELETE FROM audit_entries r WHERE r.kind <> 'charge' AND r.key = '' AND r.order_id = '' AND r.id NOT IN (SELECT id FROM ours)

-- at: facts.go held
-- args: 'no fact of a paid order is an open dead letter'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT d.module, d.fact_id, d.order_id FROM shared.dead_letters d WHERE d.replayed_at IS NULL AND d.order_id IS NOT NULL AND (SELECT coalesce(sum(CASE t.kind WHEN 'refund' THEN -t.amount_minor ELSE t.amount_minor END), 0)
FROM payment.transfers t WHERE t.order_id = d.order_id) > 0) q LIMIT 10) r

-- at: facts.go held
-- args: 'no fact of a paid order waits for a version that has a row for it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT d.module, d.fact_id, d.order_id FROM shared.waiting_facts d WHERE true AND d.order_id IS NOT NULL AND (SELECT coalesce(sum(CASE t.kind WHEN 'refund' THEN -t.amount_minor ELSE t.amount_minor END), 0)
FROM payment.transfers t WHERE t.order_id = d.order_id) > 0) q LIMIT 10) r

-- at: facts.go otherPayments
SELECT f.id AS fact_id, f.name, p.order_id, f.said->>'charge_id' AS charge_id, f.said->>'refund_id' AS refund_id, f.said->>'reason' AS reason
FROM (SELECT id, name, order_id, convert_from(body, 'UTF8')::jsonb->'data' AS said FROM shared.outbox
      WHERE name IN ('payment.processed', 'payment.failed', 'payment.refunded') AND order_id IS NOT NULL) f
JOIN payment.payments p ON p.order_id = f.order_id
WHERE ((f.said->>'total_minor')::bigint, f.said->>'currency', f.said->>'payment_method') IS DISTINCT FROM (p.amount_minor, p.currency, p.payment_method)
   OR f.name <> 'payment.failed' AND coalesce(f.said->>'charge_id', '') <> coalesce(p.charge_id, '')
   OR f.name = 'payment.refunded' AND p.state = 'REFUNDED' AND coalesce(f.said->>'refund_id', '') <> coalesce(p.refund_id, '')
      AND NOT EXISTS (SELECT FROM payment.transfers v WHERE v.order_id = p.order_id AND v.provider_id = 'reversal-' || (f.said->>'refund_id'))
   OR f.name = 'payment.failed' AND coalesce(f.said->>'reason', '') <> p.reason

-- at: facts.go otherPayments
-- args: 'what payment has said of an order is what its row says'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT f.id AS fact_id, f.name, p.order_id, f.said->>'charge_id' AS charge_id, f.said->>'refund_id' AS refund_id, f.said->>'reason' AS reason
FROM (SELECT id, name, order_id, convert_from(body, 'UTF8')::jsonb->'data' AS said FROM shared.outbox
      WHERE name IN ('payment.processed', 'payment.failed', 'payment.refunded') AND order_id IS NOT NULL) f
JOIN payment.payments p ON p.order_id = f.order_id
WHERE ((f.said->>'total_minor')::bigint, f.said->>'currency', f.said->>'payment_method') IS DISTINCT FROM (p.amount_minor, p.currency, p.payment_method)
   OR f.name <> 'payment.failed' AND coalesce(f.said->>'charge_id', '') <> coalesce(p.charge_id, '')
   OR f.name = 'payment.refunded' AND p.state = 'REFUNDED' AND coalesce(f.said->>'refund_id', '') <> coalesce(p.refund_id, '')
      AND NOT EXISTS (SELECT FROM payment.transfers v WHERE v.order_id = p.order_id AND v.provider_id = 'reversal-' || (f.said->>'refund_id'))
   OR f.name = 'payment.failed' AND coalesce(f.said->>'reason', '') <> p.reason) q LIMIT 10) r

-- at: facts.go otherWords
-- args: 'an order''s last word says what the order is'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT f.id AS fact_id, f.name, o.id AS order_id, f.said->>'customer' AS customer, f.said->>'total_minor' AS total_minor, f.said->>'status' AS status
FROM (SELECT id, name, order_id, convert_from(body, 'UTF8')::jsonb->'data' AS said FROM shared.outbox
      WHERE name IN ('order.completed', 'order.failed', 'order.cancelled') AND order_id IS NOT NULL) f
JOIN orders.orders o ON o.id = f.order_id
WHERE (f.said->>'customer', (f.said->>'total_minor')::bigint, f.said->>'currency', (f.said->>'hold_id')::uuid)
      IS DISTINCT FROM (o.customer, o.total_minor, o.currency, coalesce(o.hold_id, '00000000-0000-0000-0000-000000000000'))
   OR (f.said->>'version')::bigint = o.version AND o.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
      AND (f.said->>'status', f.said->>'payment_status', f.said->>'inventory_status', coalesce(f.said->>'failure_reason', ''))
          IS DISTINCT FROM (o.status, o.payment_status, o.inventory_status, coalesce(o.failure_reason, ''))
   OR (f.said->>'version')::bigint > o.version
   OR EXISTS (SELECT FROM jsonb_to_recordset(f.said->'lines') AS e(product_id uuid, sku text, name text, quantity bigint, unit_price_minor bigint)
              FULL JOIN (SELECT * FROM orders.lines WHERE order_id = o.id) l ON l.product_id = e.product_id
              WHERE (e.product_id, e.sku, e.name, e.quantity, e.unit_price_minor)
                    IS DISTINCT FROM (l.product_id, l.sku, l.name, l.quantity, l.unit_price_minor))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
SELECT count(*) FROM shared.inbox

-- at: facts.go proveHeardOnce
-- args: 'what was heard was said'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT i.module, i.fact_id, i.name, i.order_id, i.at AS heard_at FROM shared.inbox i
WHERE i.fact_id >= shared.uuid_from((SELECT min(at) FROM shared.outbox) + interval '1 minute')
  AND NOT EXISTS (SELECT FROM shared.outbox f WHERE f.id = i.fact_id)) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a stock movement of an order names the fact that led to it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT m.id AS movement_id, m.order_id, m.kind, m.fact_id FROM inventory.movements m
	WHERE m.kind IN ('reserve', 'release') AND (m.fact_id IS NULL OR (m.fact_id >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = m.fact_id AND i.module = 'inventory')))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a module hears a fact once'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT module, fact_id, count(*) AS times FROM shared.inbox GROUP BY module, fact_id HAVING count(*) > 1) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a state that followed from a fact names it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT o.id AS order_id, o.status, o.version, o.last_fact FROM orders.orders o
	WHERE o.last_fact IS NULL AND o.version > 1 AND o.failure_reason IS DISTINCT FROM 'TIMED_OUT' -- the clock names none
	  AND NOT (o.failure_reason IS NULL AND o.status IN ('ENDING', 'CANCELLED')) -- nor does who cancels
	   OR (o.last_fact >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = o.last_fact AND i.module = 'order'))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a payment names the facts that want it and that undo it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT p.order_id, p.state, p.cause, p.undo_cause FROM payment.payments p
	WHERE p.cause IS NULL OR (p.cause >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = p.cause AND i.module = 'payment')) OR (p.undo_cause >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = p.undo_cause AND i.module = 'payment'))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a reservation names the fact that decided it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT r.order_id, r.state, r.decided_by, r.released_by FROM inventory.reservations r
	WHERE r.decided_by IS NULL OR (r.decided_by >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = r.decided_by AND i.module = 'inventory')) OR (r.released_by >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = r.released_by AND i.module = 'inventory'))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a transfer of money names the fact that wanted it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT t.order_id, t.kind, t.provider_id, t.cause FROM payment.transfers t WHERE (t.cause >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = t.cause AND i.module = 'payment'))) q LIMIT 10) r

-- at: facts.go proveHeardOnce
-- args: 'a row of the read model names the fact that it shows'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT w.id AS order_id, w.version, w.last_fact FROM orders.view w
	WHERE w.last_fact IS NULL AND w.version > 1 OR (w.last_fact >= (SELECT fact_id FROM shared.inbox ORDER BY fact_id LIMIT 1)
AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = w.last_fact AND i.module = 'view'))) q LIMIT 10) r

-- at: facts.go proveNothingStuck
SELECT count(*) FROM shared.outbox

-- at: facts.go proveNothingStuck
-- args: '{"post-payment", "sequenced", "optimistic"}', '{"payment.unknown", "payment.processed", "stock.failed"}', 'somebody hears the fact'
SELECT row_to_json(r) FROM (SELECT $3::text AS rule, q.* FROM (
SELECT f.id AS fact_id, f.name, f.strategy, f.order_id FROM shared.outbox f
WHERE (f.strategy, f.name) NOT IN (SELECT * FROM unnest($1::text[], $2::text[]))
  AND NOT EXISTS (SELECT FROM shared.bindings b WHERE b.key IN (f.strategy || '.' || f.name, f.strategy || '.' || f.name || '.' || f.part))) q LIMIT 10) r

-- at: facts.go seenTo
-- args: 'dead letter that was given up'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT g.letter_id, g.module, g.fact_id, g.order_id, g.name, g.by, g.reason, g.at FROM shared.dead_letter_log g
WHERE g.action = 'delete' AND EXISTS (SELECT FROM shared.outbox f WHERE f.id = g.fact_id)
  AND NOT EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = g.fact_id AND i.module = g.module) ORDER BY g.at) q LIMIT 10) r

-- at: facts.go seenTo
-- args: 'dead letter that nobody has replayed'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT id, module, fact_id, order_id, name, routing_key, reason, at FROM shared.dead_letters WHERE replayed_at IS NULL ORDER BY at) q LIMIT 10) r

-- at: facts.go seenTo
-- args: 'waits for a version that has a row for it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT module, fact_id, order_id, key, since FROM shared.waiting_facts ORDER BY since) q LIMIT 10) r

-- at: facts.go unheard
-- args: '{"parallel", "parallel", "pessimistic"}', '{"order.cancelled", "order.cancelled", "stock.released"}', '{"view", "shelf", "order"}', 'every bound module has heard the fact'
SELECT row_to_json(r) FROM (SELECT $4::text AS rule, q.* FROM (
SELECT f.id AS fact_id, f.name, f.strategy, f.order_id, h.module, f.at AS said_at
FROM shared.outbox f
JOIN unnest($1::text[], $2::text[], $3::text[]) AS h(strategy, fact, module) ON h.strategy = f.strategy AND h.fact = f.name
LEFT JOIN shared.inbox i ON i.fact_id = f.id AND i.module = h.module
WHERE i.fact_id IS NULL
  AND NOT EXISTS (SELECT FROM shared.dead_letters d WHERE d.fact_id = f.id AND d.module IN (h.module, 'relay') AND d.replayed_at IS NULL)
  AND NOT EXISTS (SELECT FROM shared.dead_letter_log g WHERE g.fact_id = f.id AND g.module IN (h.module, 'relay') AND g.action = 'delete')
  AND NOT EXISTS (SELECT FROM shared.waiting_facts w WHERE w.fact_id = f.id AND w.module = h.module)) q LIMIT 10) r

-- at: late.go books.expected
-- args: 'stripe', 'acct_1/test', '100000'
SELECT t.provider_id FROM payment.transfers t
WHERE (t.provider, t.account) = ($1, $2) AND t.credit <> 'outside' AND NOT EXISTS (SELECT FROM audit_entries e WHERE e.id = t.provider_id) LIMIT $3

-- at: late.go books.late
-- args: '{}'
SELECT id, order_id FROM audit_entries WHERE kind = 'charge' AND id = ANY ($1)

-- at: late.go books.late
-- args: '{}'
SELECT kind || ' ' || id || ' ' || status, '' FROM audit_entries WHERE id = ANY ($1)

-- at: late.go snapshot.set
-- args: 'holdfast.late_entries', '[]'
SELECT set_config($1, $2, true)

-- at: money.go auditor.lookForUnread
SELECT format('%s payments were made at %s account %s, whose books are not configured', count(*), provider, account)
	FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p WHERE provider <> '' AND NOT (p.provider, p.account) IN (SELECT provider, account FROM audit_accounts) AND (p.provider, p.account) NOT IN (SELECT provider, account FROM payment.closed_accounts)
	GROUP BY provider, account ORDER BY provider, account

-- at: money.go balanced
SELECT currency, sum(got) AS sum_minor FROM (
	SELECT currency, amount_minor AS got FROM payment.transfers WHERE debit IN ('provider', 'refunds')
	UNION ALL SELECT currency, -amount_minor FROM payment.transfers WHERE credit IN ('customer', 'provider', 'outside', 'refunds')) e
GROUP BY currency HAVING sum(got) <> 0

-- at: money.go balanced
-- args: 'the ledger''s entries sum to zero in every currency'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT currency, sum(got) AS sum_minor FROM (
	SELECT currency, amount_minor AS got FROM payment.transfers WHERE debit IN ('provider', 'refunds')
	UNION ALL SELECT currency, -amount_minor FROM payment.transfers WHERE credit IN ('customer', 'provider', 'outside', 'refunds')) e
GROUP BY currency HAVING sum(got) <> 0) q LIMIT 10) r

-- at: money.go countPayments
SELECT count(*) FROM payment.payments

-- at: money.go keptByState
SELECT m.order_id, m.state, m.amount_minor, m.charged, m.refunded FROM (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m
WHERE m.charged <> CASE WHEN m.state IN ('SUCCESS', 'REFUNDING', 'REFUNDED') THEN m.amount_minor ELSE 0 END
   OR m.refunded > m.charged OR m.state <> 'REFUNDING' AND m.refunded <> CASE WHEN m.state = 'REFUNDED' THEN m.amount_minor ELSE 0 END

-- at: money.go keptByState
-- args: 'a payment''s state is what the ledger says'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT m.order_id, m.state, m.amount_minor, m.charged, m.refunded FROM (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m
WHERE m.charged <> CASE WHEN m.state IN ('SUCCESS', 'REFUNDING', 'REFUNDED') THEN m.amount_minor ELSE 0 END
   OR m.refunded > m.charged OR m.state <> 'REFUNDING' AND m.refunded <> CASE WHEN m.state = 'REFUNDED' THEN m.amount_minor ELSE 0 END) q LIMIT 10) r

-- at: money.go keptOfFinalOrders
-- args: 'the provider kept of a final order what the order says'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, o.total_minor, coalesce(k.kept, 0) AS kept
FROM orders.orders o
LEFT JOIN (SELECT order_id, sum(CASE WHEN kind IN ('charge', 'reversal') THEN amount_minor WHEN kind = 'refund' THEN -amount_minor END) AS kept,
                  bool_or(kind = 'reversal' AND late AND id NOT IN (SELECT refund_id FROM payment.failed_refunds)) AS untold,
                  coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund' AND late), 0) AS refunded_since
           FROM audit_ledger GROUP BY order_id) k ON k.order_id = o.id::text
WHERE o.status IN ('COMPLETED', 'FAILED', 'CANCELLED')
  AND NOT EXISTS (SELECT FROM payment.acts s WHERE s.order_id = o.id AND s.act = 'settle')
  AND NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = o.id AND (coalesce(p.charge_id IN (SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL), false) OR coalesce(p.refund_id IN (SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL), false)))
  AND NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = o.id AND p.provider <> '' AND NOT (p.provider, p.account) IN (SELECT provider, account FROM audit_accounts))
  AND NOT EXISTS (SELECT FROM payment.payments w JOIN payment.transfers v ON v.order_id = w.order_id AND v.kind = 'reversal'
	WHERE w.order_id = o.id AND w.state = 'REFUNDING') AND NOT coalesce(k.untold, false)
  AND CASE WHEN o.status = 'COMPLETED' THEN coalesce(k.kept + k.refunded_since, 0) <> o.total_minor ELSE coalesce(k.kept, 0) <> 0 END) q LIMIT 10) r

-- at: money.go proveBooksAgree
SELECT count(*) FROM audit_ledger

-- at: money.go proveBooksAgree
SELECT r.id AS refund_id, r.key, r.order_id, r.amount_minor AS theirs, p.amount_minor AS ours, p.state
		FROM audit_ledger r LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p ON p.refund_key = r.key
		WHERE r.kind = 'refund' AND NOT r.late AND r.key <> ''
		  AND (p.order_id IS NULL OR p.order_id::text <> r.order_id OR (p.amount_minor, p.currency) <> (r.amount_minor, r.currency)
		       OR (p.provider, p.account) <> (r.provider, r.account)
		       OR p.state NOT IN ('REFUNDING', 'REFUNDED') OR p.refund_id <> r.id OR p.charge_id <> r.charge_id)
		  AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))
		  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = r.charge_id AND o.refund_id = r.id)

-- at: money.go proveBooksAgree
SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
		WHERE r.kind = 'refund' AND NOT r.late AND r.key = '' AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))
		  AND NOT EXISTS (SELECT FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p WHERE p.refund_id = r.id AND p.order_id::text = r.order_id)

-- at: money.go proveBooksAgree
-- args: 'a charge of the provider''s is one of ours'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT c.id AS charge_id, c.key, c.order_id, c.amount_minor AS theirs, p.amount_minor AS ours, p.state
		FROM audit_ledger c LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p ON p.charge_key = c.key
		WHERE c.kind = 'charge' AND NOT c.late
		  AND (p.order_id IS NULL OR p.order_id::text <> c.order_id OR (p.amount_minor, p.currency) <> (c.amount_minor, c.currency)
		       OR (p.provider, p.account) <> (c.provider, c.account)
		       OR p.state NOT IN ('PENDING', 'UNKNOWN', 'SUCCESS', 'REFUNDING', 'REFUNDED') OR p.charge_id NOT IN (c.id, 'outside-charge-' || p.order_id))
		  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = c.id AND o.refund_id IS NOT NULL)) q LIMIT 10) r

-- at: money.go proveBooksAgree
-- args: 'a charge of ours is one of the provider''s'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT p.order_id, p.state, p.charge_id, p.amount_minor FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p
		WHERE p.charge_id <> 'outside-charge-' || p.order_id AND (p.provider, p.account) IN (SELECT provider, account FROM audit_accounts) AND NOT coalesce(p.charge_id IN (SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL), false)
		  AND NOT EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = p.charge_id AND c.key = p.charge_key
		                  AND (c.provider, c.account) = (p.provider, p.account))) q LIMIT 10) r

-- at: money.go proveBooksAgree
-- args: 'a refund of ours is one of the provider''s'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT p.order_id, p.state, p.refund_id, p.amount_minor FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p
		WHERE p.refund_id IS NOT NULL AND p.refund_id <> 'outside-' || p.order_id AND (p.provider, p.account) IN (SELECT provider, account FROM audit_accounts) AND NOT coalesce(p.refund_id IN (SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL), false)
		  AND NOT EXISTS (SELECT FROM audit_ledger r WHERE r.kind = 'refund' AND r.id = p.refund_id AND r.key IN (p.refund_key, '')
		                  AND (r.provider, r.account) = (p.provider, p.account))) q LIMIT 10) r

-- at: money.go proveBooksAgree
-- args: 'a refund of the provider''s is one of ours'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT r.id AS refund_id, r.key, r.order_id, r.amount_minor AS theirs, p.amount_minor AS ours, p.state
		FROM audit_ledger r LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p ON p.refund_key = r.key
		WHERE r.kind = 'refund' AND NOT r.late AND r.key <> ''
		  AND (p.order_id IS NULL OR p.order_id::text <> r.order_id OR (p.amount_minor, p.currency) <> (r.amount_minor, r.currency)
		       OR (p.provider, p.account) <> (r.provider, r.account)
		       OR p.state NOT IN ('REFUNDING', 'REFUNDED') OR p.refund_id <> r.id OR p.charge_id <> r.charge_id)
		  AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))
		  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = r.charge_id AND o.refund_id = r.id)) q LIMIT 10) r

-- at: money.go proveBooksAgree
-- args: 'a refund that was made by hand at the provider is known here'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
		WHERE r.kind = 'refund' AND NOT r.late AND r.key = '' AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))
		  AND NOT EXISTS (SELECT FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p WHERE p.refund_id = r.id AND p.order_id::text = r.order_id)) q LIMIT 10) r

-- at: money.go proveBooksAgree
-- args: 'a payment and the ledger name the same account'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT t.order_id, t.provider_id, t.provider, t.account, p.provider AS payments_provider, p.account AS payments_account
FROM payment.transfers t JOIN payment.payments p USING (order_id) WHERE (t.provider, t.account) <> (p.provider, p.account)) q LIMIT 10) r

-- at: money.go proveMoneyConserved
SELECT o.id AS order_id, o.status, o.payment_status, m.state, m.charged, m.refunded
	FROM orders.orders o LEFT JOIN (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m ON m.order_id = o.id
	WHERE o.status = 'ENDING' OR o.status IN ('CREATED', 'PROCESSING') AND o.payment_status = 'UNKNOWN' ORDER BY o.id

-- at: money.go proveMoneyConserved
SELECT o.id AS order_id, o.total_minor, m.state, m.charged, m.refunded
		FROM orders.orders o LEFT JOIN (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m ON m.order_id = o.id
		WHERE o.status = 'COMPLETED' AND o.total_minor IS DISTINCT FROM m.charged - m.refunded

-- at: money.go proveMoneyConserved
SELECT r.charge_id, min(r.order_id) AS order_id, c.amount_minor AS charged, sum(CASE r.kind WHEN 'refund' THEN r.amount_minor ELSE -r.amount_minor END) AS refunded
FROM audit_ledger r LEFT JOIN audit_ledger c ON c.kind = 'charge' AND c.id = r.charge_id
WHERE r.kind IN ('refund', 'reversal') GROUP BY r.charge_id, c.amount_minor
HAVING sum(CASE r.kind WHEN 'refund' THEN r.amount_minor ELSE -r.amount_minor END) > coalesce(c.amount_minor, 0)

-- at: money.go proveMoneyConserved
-- args: 'a failed or cancelled order has paid nothing and never will'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT o.id AS order_id, o.status, m.state, m.charged, m.refunded
		FROM orders.orders o JOIN (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m ON m.order_id = o.id
		WHERE o.status IN ('FAILED', 'CANCELLED') AND (m.charged <> m.refunded AND NOT EXISTS (SELECT FROM payment.payments w JOIN payment.transfers v ON v.order_id = w.order_id AND v.kind = 'reversal'
	WHERE w.order_id = o.id AND w.state = 'REFUNDING') OR m.state IN ('PENDING', 'UNKNOWN'))) q LIMIT 10) r

-- at: money.go proveMoneyConserved
-- args: 'money on its way'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT o.id AS order_id, o.status, o.payment_status, m.state, m.charged, m.refunded
	FROM orders.orders o LEFT JOIN (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m ON m.order_id = o.id
	WHERE o.status = 'ENDING' OR o.status IN ('CREATED', 'PROCESSING') AND o.payment_status = 'UNKNOWN' ORDER BY o.id) q LIMIT 10) r

-- at: money.go proveMoneyConserved
-- args: 'a completed order has paid its total'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT o.id AS order_id, o.total_minor, m.state, m.charged, m.refunded
		FROM orders.orders o LEFT JOIN (
SELECT p.order_id, p.state, p.currency, p.amount_minor, coalesce(b.charged, 0) AS charged, coalesce(b.refunded, 0) AS refunded
FROM payment.payments p LEFT JOIN (
SELECT order_id, currency,
	coalesce(sum(amount_minor) FILTER (WHERE credit = 'customer'), 0) AS charged,
	coalesce(sum(CASE 'refunds' WHEN debit THEN amount_minor WHEN credit THEN -amount_minor END), 0) AS refunded
FROM payment.transfers GROUP BY order_id, currency) b ON b.order_id = p.order_id AND b.currency = p.currency) m ON m.order_id = o.id
		WHERE o.status = 'COMPLETED' AND o.total_minor IS DISTINCT FROM m.charged - m.refunded) q LIMIT 10) r

-- at: money.go proveMoneyConserved
-- args: 'a refund gives back a charge and no more than it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT r.charge_id, min(r.order_id) AS order_id, c.amount_minor AS charged, sum(CASE r.kind WHEN 'refund' THEN r.amount_minor ELSE -r.amount_minor END) AS refunded
FROM audit_ledger r LEFT JOIN audit_ledger c ON c.kind = 'charge' AND c.id = r.charge_id
WHERE r.kind IN ('refund', 'reversal') GROUP BY r.charge_id, c.amount_minor
HAVING sum(CASE r.kind WHEN 'refund' THEN r.amount_minor ELSE -r.amount_minor END) > coalesce(c.amount_minor, 0)) q LIMIT 10) r

-- at: money.go proveMoneyConserved
-- args: 'money moves for orders that have a payment, in its currency'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT t.order_id, t.provider_id, t.currency FROM payment.transfers t
WHERE NOT EXISTS (SELECT FROM payment.payments p WHERE p.order_id = t.order_id AND p.currency = t.currency)) q LIMIT 10) r

-- at: money.go proveNobodyPaysTwice
SELECT c.order_id, count(*) AS charges, sum(c.amount_minor) AS amount_minor FROM audit_ledger c
		WHERE c.kind = 'charge' AND NOT
EXISTS (SELECT FROM payment.orphans o JOIN audit_ledger r ON r.kind = 'refund' AND r.id = o.refund_id
        WHERE r.id NOT IN (SELECT id FROM audit_ledger WHERE kind = 'reversal' AND NOT late) AND o.provider_id = c.id AND (r.charge_id, r.amount_minor, r.currency) = (c.id, c.amount_minor, c.currency)) GROUP BY c.order_id HAVING count(*) > 1

-- at: money.go proveNobodyPaysTwice
-- args: 'the provider charged the order''s total'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT c.order_id, c.id AS charge_id, c.amount_minor, c.currency, o.total_minor, o.currency AS orders_currency
FROM audit_ledger c JOIN orders.orders o ON o.id::text = c.order_id
WHERE c.kind = 'charge' AND (c.amount_minor, c.currency) <> (o.total_minor, o.currency)) q LIMIT 10) r

-- at: money.go proveNobodyPaysTwice
-- args: 'the provider charged an order once, but for what was found and given back'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT c.order_id, count(*) AS charges, sum(c.amount_minor) AS amount_minor FROM audit_ledger c
		WHERE c.kind = 'charge' AND NOT
EXISTS (SELECT FROM payment.orphans o JOIN audit_ledger r ON r.kind = 'refund' AND r.id = o.refund_id
        WHERE r.id NOT IN (SELECT id FROM audit_ledger WHERE kind = 'reversal' AND NOT late) AND o.provider_id = c.id AND (r.charge_id, r.amount_minor, r.currency) = (c.id, c.amount_minor, c.currency)) GROUP BY c.order_id HAVING count(*) > 1) q LIMIT 10) r

-- at: money.go proveNobodyPaysTwice
-- args: 'an order has one payment'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT order_id, count(*) AS payments FROM payment.payments GROUP BY order_id HAVING count(*) > 1) q LIMIT 10) r

-- at: money.go proveNobodyPaysTwice
-- args: 'the amount asked for is the order''s total'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT p.order_id, p.state, p.amount_minor, p.currency, o.total_minor, o.currency AS orders_currency
FROM payment.payments p LEFT JOIN orders.orders o ON o.id = p.order_id
WHERE (p.state <> 'VOIDED' OR p.charge_id IS NOT NULL)
  AND (p.amount_minor, p.currency) IS DISTINCT FROM (o.total_minor, o.currency)) q LIMIT 10) r

-- at: money.go proveNobodyPaysTwice
-- args: 'a payment is asked for by the order''s method, in its strategy'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT p.order_id, p.state, p.payment_method, o.payment_method AS orders_method, p.strategy, o.strategy AS orders_strategy
FROM payment.payments p JOIN orders.orders o ON o.id = p.order_id
WHERE p.payment_method <> o.payment_method AND (p.state <> 'VOIDED' OR p.payment_method <> '') OR p.strategy <> o.strategy) q LIMIT 10) r

-- at: money.go sameNames
SELECT coalesce(p.order_id, t.order_id) AS order_id, p.kind, p.id AS payments_id, t.provider_id AS transfers_id
FROM (SELECT order_id, 'charge' AS kind, charge_id AS id FROM payment.payments WHERE charge_id IS NOT NULL
      UNION ALL SELECT order_id, 'refund', refund_id FROM payment.payments WHERE refund_id IS NOT NULL) p
FULL JOIN (SELECT * FROM payment.transfers s
           WHERE s.kind <> 'reversal' AND NOT EXISTS (SELECT FROM payment.transfers r WHERE r.provider_id = 'reversal-' || s.provider_id)) t
     ON t.order_id = p.order_id AND t.kind = p.kind AND t.provider_id = p.id
WHERE p.id IS NULL OR t.provider_id IS NULL

-- at: money.go sameNames
-- args: 'a payment and the ledger name the same charge and refund of the provider''s'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(p.order_id, t.order_id) AS order_id, p.kind, p.id AS payments_id, t.provider_id AS transfers_id
FROM (SELECT order_id, 'charge' AS kind, charge_id AS id FROM payment.payments WHERE charge_id IS NOT NULL
      UNION ALL SELECT order_id, 'refund', refund_id FROM payment.payments WHERE refund_id IS NOT NULL) p
FULL JOIN (SELECT * FROM payment.transfers s
           WHERE s.kind <> 'reversal' AND NOT EXISTS (SELECT FROM payment.transfers r WHERE r.provider_id = 'reversal-' || s.provider_id)) t
     ON t.order_id = p.order_id AND t.kind = p.kind AND t.provider_id = p.id
WHERE p.id IS NULL OR t.provider_id IS NULL) q LIMIT 10) r

-- at: orders.go countOrders
SELECT count(*) FROM orders.orders

-- at: orders.go proveAllEnded
-- args: 'no money is held for an order that has come to nothing'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT o.id AS order_id, o.status, p.state AS payment FROM orders.orders o
	JOIN payment.payments p ON p.order_id = o.id
	WHERE o.status IN ('FAILED', 'CANCELLED') AND p.state NOT IN ('DECLINED', 'REFUNDED', 'VOIDED') AND NOT EXISTS (SELECT FROM payment.payments w JOIN payment.transfers v ON v.order_id = w.order_id AND v.kind = 'reversal'
WHERE w.order_id = o.id AND w.state = 'REFUNDING')) q LIMIT 10) r

-- at: orders.go proveAllEnded
-- args: 'no stock is held for an order that has come to nothing'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, r.state AS reservation FROM orders.orders o
JOIN inventory.reservations r ON r.order_id = o.id
WHERE o.status IN ('FAILED', 'CANCELLED') AND r.state = 'RESERVED') q LIMIT 10) r

-- at: orders.go proveAllEnded
-- args: 'false', 'waits for a provider that does not answer'
SELECT row_to_json(r) FROM (SELECT $2::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, o.inventory_status, o.deadline FROM orders.orders o
WHERE o.status IN ('CREATED', 'PROCESSING', 'ENDING') AND $1 AND o.payment_status = 'UNKNOWN' ORDER BY o.id) q LIMIT 10) r

-- at: orders.go proveAllEnded
-- args: 'false', 'an order ends once its time is over'
SELECT row_to_json(r) FROM (SELECT $2::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, o.payment_status, o.inventory_status, o.deadline FROM orders.orders o
WHERE o.status IN ('CREATED', 'PROCESSING', 'ENDING') AND NOT ($1 AND o.payment_status = 'UNKNOWN')) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'a line of a cart belongs to a cart'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT l.cart_id, l.product_id FROM cart.lines l
WHERE NOT EXISTS (SELECT FROM cart.carts c WHERE c.id = l.cart_id)) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'a line belongs to an order'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT l.order_id, l.product_id FROM orders.lines l
WHERE NOT EXISTS (SELECT FROM orders.orders o WHERE o.id = l.order_id)) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'an order ends after it was made'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.created_at, o.ended_at FROM orders.orders o WHERE o.ended_at < o.created_at - interval '30 s') q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'a final order has an end and no other has'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, o.ended_at FROM orders.orders o
WHERE (o.ended_at IS NOT NULL) <> (o.status IN ('COMPLETED', 'FAILED', 'CANCELLED'))) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'an order owes something exactly while it is ending, and nothing that was given back'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.status, o.owes_stock, o.owes_money, o.payment_status, o.inventory_status FROM orders.orders o
WHERE (o.status = 'ENDING') <> (o.owes_stock OR o.owes_money)
   OR o.owes_stock AND o.inventory_status IN ('RELEASED', 'OUT_OF_STOCK')
   OR o.owes_money AND o.payment_status IN ('DECLINED', 'REFUNDED', 'VOIDED')) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: 'the total is the sum of the lines'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.total_minor, coalesce(l.total, 0) AS lines_total
FROM orders.orders o
LEFT JOIN (SELECT order_id, sum(quantity * unit_price_minor) AS total FROM orders.lines GROUP BY order_id) l ON l.order_id = o.id
WHERE o.total_minor IS DISTINCT FROM l.total) q LIMIT 10) r

-- at: orders.go proveNoImpossibleState
-- args: '{"optimistic/CANCELLED//DECLINED/RELEASED", "optimistic/CANCELLED//REFUNDED/RELEASED", "optimistic/CANCELLED//VOIDED/OUT_OF_STOCK"}', 'the state is possible in the order''s strategy'
SELECT row_to_json(r) FROM (SELECT $2::text AS rule, q.* FROM (
SELECT o.id AS order_id, concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status) AS state FROM orders.orders o
WHERE concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status) NOT IN (SELECT unnest($1::text[]))) q LIMIT 10) r

-- at: orders.go proveOneOrderPerKey
SELECT count(*) FROM orders.idempotency_keys

-- at: orders.go proveOneOrderPerKey
-- args: 'a customer''s key has one order'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT customer, key, array_agg(order_id) AS order_ids FROM orders.idempotency_keys
GROUP BY customer, key HAVING count(*) > 1) q LIMIT 10) r

-- at: orders.go proveOneOrderPerKey
-- args: 'a key outlives the making of its order by a day'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT k.customer, k.key, k.order_id, k.created_at, k.expires_at FROM orders.idempotency_keys k
WHERE k.expires_at < k.created_at + interval '23 hours') q LIMIT 10) r

-- at: orders.go proveOneOrderPerKey
-- args: 'a key''s order is there and is its customer''s'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT k.customer, k.key, k.order_id, o.customer AS orders_customer
FROM orders.idempotency_keys k LEFT JOIN orders.orders o ON o.id = k.order_id
WHERE o.customer IS DISTINCT FROM k.customer) q LIMIT 10) r

-- at: orders.go proveOneOrderPerKey
-- args: 'an order of the last day has its key'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, o.created_at FROM orders.orders o
WHERE o.created_at > now() - interval '23 hours' AND NOT EXISTS (SELECT FROM orders.idempotency_keys k WHERE k.order_id = o.id)) q LIMIT 10) r

-- at: orders.go proveOneOrderPerKey
-- args: 'an order was made under one key'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT order_id, array_agg(key) AS keys FROM orders.idempotency_keys GROUP BY order_id HAVING count(*) > 1) q LIMIT 10) r

-- at: orders.go proveViewAgrees
SELECT count(*) FROM orders.view

-- at: orders.go proveViewAgrees
-- args: 'orders and read model are the same set'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(o.id, w.id) AS order_id, o.id IS NOT NULL AS in_orders, w.id IS NOT NULL AS in_view
FROM orders.orders o FULL JOIN orders.view w ON w.id = o.id WHERE o.id IS NULL OR w.id IS NULL) q LIMIT 10) r

-- at: orders.go proveViewAgrees
-- args: 'the read model shows the order''s lines'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(w.id, l.order_id) AS order_id, w.product_id AS shown, l.product_id AS ordered
FROM (SELECT w.id, e.* FROM orders.view w, jsonb_to_recordset(w.lines)
          AS e(product_id uuid, sku text, name text, quantity bigint, unit_price_minor bigint)) w
FULL JOIN orders.lines l ON l.order_id = w.id AND l.product_id = w.product_id
WHERE (w.product_id, w.sku, w.name, w.quantity, w.unit_price_minor)
      IS DISTINCT FROM (l.product_id, l.sku, l.name, l.quantity, l.unit_price_minor)) q LIMIT 10) r

-- at: orders.go proveViewAgrees
-- args: 'the read model shows the order''s state'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT o.id AS order_id, w.display_status AS shown,
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
     ELSE 'PROCESSING' END AS is,
			concat_ws('/', w.status, w.payment_status, w.inventory_status) AS view_states,
			concat_ws('/', o.status, o.payment_status, o.inventory_status) AS order_states
		FROM orders.orders o JOIN orders.view w ON w.id = o.id
		WHERE w.display_status <>
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
     ELSE 'PROCESSING' END
		   OR (w.customer, w.status, w.payment_status, w.inventory_status, w.total_minor, w.currency)
		      IS DISTINCT FROM (o.customer, o.status, o.payment_status, o.inventory_status, o.total_minor, o.currency)) q LIMIT 10) r

-- at: orders.go proveViewAgrees
-- args: 'the read model shows the order''s version, strategy, reason and times'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.id AS order_id, w.version AS shown_version, o.version, w.strategy AS shown_strategy, o.strategy, w.failure_reason AS shown_reason,
	o.failure_reason, w.created_at AS shown_created_at, o.created_at, w.ended_at AS shown_ended_at, o.ended_at
FROM orders.orders o JOIN orders.view w ON w.id = o.id
WHERE (w.version, w.strategy, w.failure_reason, date_trunc('milliseconds', w.created_at), date_trunc('milliseconds', w.ended_at))
      IS DISTINCT FROM (o.version, o.strategy, o.failure_reason, date_trunc('milliseconds', o.created_at), date_trunc('milliseconds', o.ended_at))) q LIMIT 10) r

-- at: redis.go proveRedisAgrees
-- args: '00000000-0000-0000-0000-000000000000', '200'
SELECT id FROM cart.carts WHERE state = 'OPEN' AND expires_at > now() AND id > $1 ORDER BY id LIMIT $2

-- at: redis.go proveRedisAgrees
-- args: '00000000-0000-0000-0000-000000000000', '10000'
SELECT product_id FROM inventory.stock WHERE product_id > $1 ORDER BY product_id LIMIT $2

-- at: rest.go auditor.lookForUnheard
-- args: '{"sequenced", "sequenced", "sequenced"}', '{"lane.reserve.requested", "stock.reserved", "stock.reserved"}', '{"inventory", "payment", "order"}'
SELECT count(*) FROM (
SELECT f.id AS fact_id, f.name, f.strategy, f.order_id, h.module, f.at AS said_at
FROM shared.outbox f
JOIN unnest($1::text[], $2::text[], $3::text[]) AS h(strategy, fact, module) ON h.strategy = f.strategy AND h.fact = f.name
LEFT JOIN shared.inbox i ON i.fact_id = f.id AND i.module = h.module
WHERE i.fact_id IS NULL
  AND NOT EXISTS (SELECT FROM shared.dead_letters d WHERE d.fact_id = f.id AND d.module IN (h.module, 'relay') AND d.replayed_at IS NULL)
  AND NOT EXISTS (SELECT FROM shared.dead_letter_log g WHERE g.fact_id = f.id AND g.module IN (h.module, 'relay') AND g.action = 'delete')
  AND NOT EXISTS (SELECT FROM shared.waiting_facts w WHERE w.fact_id = f.id AND w.module = h.module)) u

-- at: rest.go lastChange
SELECT greatest(
(SELECT to_timestamp(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0)
 FROM (SELECT id FROM shared.outbox WHERE id <= shared.uuid_from(now() + interval '30 s') ORDER BY id DESC LIMIT 1) newest),
(SELECT max(at) FROM shared.inbox WHERE fact_id >= shared.uuid_from(now() - interval '15 minutes') AND at <= now() + interval '30 s'),
(SELECT max(changed_at) FROM cart.carts WHERE changed_at <= now() + interval '30 s'))

-- at: rest.go underWay
-- args: 'false', '180000 ms'
SELECT count(*) FROM orders.orders
WHERE status IN ('CREATED', 'PROCESSING', 'ENDING') AND deadline > now() - $2::interval
  AND NOT ($1 AND payment_status = 'UNKNOWN')

-- at: reversals.go afterwards
SELECT dispute_id, charge_id, order_id, amount_minor, currency, status, funds, as_of FROM payment.disputes
WHERE NOT over OR funds = 'withdrawn' ORDER BY told_at

-- at: reversals.go afterwards
SELECT o.provider_id, o.order_id, o.found, o.kind, o.amount_minor, o.currency, a.by, a.reason, a.at
FROM payment.orphan_acts a JOIN payment.orphans o USING (provider_id) WHERE a.act = 'settle' ORDER BY a.at

-- at: reversals.go afterwards
SELECT p.order_id, o.status, p.state, p.amount_minor, p.currency, p.owed_since, p.failed_refunds, p.last_error
FROM payment.payments p LEFT JOIN orders.orders o ON o.id = p.order_id
WHERE p.state = 'REFUNDING' AND p.failed_refunds <> '{}' ORDER BY p.owed_since

-- at: reversals.go afterwards
SELECT refund_id, charge_id, order_id, amount_minor, currency, reason, failed_at FROM payment.failed_refunds WHERE effect = 'none' ORDER BY told_at

-- at: reversals.go afterwards
-- args: 'a charge is disputed, or its money was withdrawn for a dispute'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT dispute_id, charge_id, order_id, amount_minor, currency, status, funds, as_of FROM payment.disputes
WHERE NOT over OR funds = 'withdrawn' ORDER BY told_at) q LIMIT 10) r

-- at: reversals.go afterwards
-- args: 'known to one side only, and settled by a person'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.provider_id, o.order_id, o.found, o.kind, o.amount_minor, o.currency, a.by, a.reason, a.at
FROM payment.orphan_acts a JOIN payment.orphans o USING (provider_id) WHERE a.act = 'settle' ORDER BY a.at) q LIMIT 10) r

-- at: reversals.go afterwards
-- args: 'a refund failed at the provider, and the money is on its way again'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT p.order_id, o.status, p.state, p.amount_minor, p.currency, p.owed_since, p.failed_refunds, p.last_error
FROM payment.payments p LEFT JOIN orders.orders o ON o.id = p.order_id
WHERE p.state = 'REFUNDING' AND p.failed_refunds <> '{}' ORDER BY p.owed_since) q LIMIT 10) r

-- at: reversals.go afterwards
-- args: 'a refund failed at the provider, and no payment wants it made'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT refund_id, charge_id, order_id, amount_minor, currency, reason, failed_at FROM payment.failed_refunds WHERE effect = 'none' ORDER BY told_at) q LIMIT 10) r

-- at: reversals.go orphansSettled
SELECT o.provider_id, o.order_id, o.settled_at, a.by FROM (SELECT * FROM payment.orphans WHERE settled_at IS NOT NULL) o
FULL JOIN (SELECT * FROM payment.orphan_acts WHERE act = 'settle') a USING (provider_id)
WHERE o.provider_id IS NULL OR a.provider_id IS NULL

-- at: reversals.go orphansSettled
-- args: 'what was settled of what only one side knows of says who did so and why'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT o.provider_id, o.order_id, o.settled_at, a.by FROM (SELECT * FROM payment.orphans WHERE settled_at IS NOT NULL) o
FULL JOIN (SELECT * FROM payment.orphan_acts WHERE act = 'settle') a USING (provider_id)
WHERE o.provider_id IS NULL OR a.provider_id IS NULL) q LIMIT 10) r

-- at: reversals.go reversals
SELECT coalesce(p.order_id, f.order_id) AS order_id, p.refund_id, f.refund_id AS failed
FROM (SELECT order_id, unnest(failed_refunds) AS refund_id FROM payment.payments WHERE failed_refunds <> '{}') p
FULL JOIN (SELECT f.order_id, f.refund_id FROM payment.failed_refunds f JOIN payment.payments q USING (order_id)
           WHERE (f.amount_minor, f.currency) = (q.amount_minor, q.currency)) f ON (f.order_id, f.refund_id) = (p.order_id, p.refund_id)
WHERE p.order_id IS NULL OR f.order_id IS NULL

-- at: reversals.go reversals
SELECT d.dispute_id, d.order_id, d.charge_id, p.charge_id AS payments FROM payment.disputes d LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p USING (order_id)
	WHERE d.order_id IS NOT NULL AND d.charge_id IS DISTINCT FROM p.charge_id

-- at: reversals.go reversals
SELECT p.order_id, p.state, p.reversals, p.failed_refunds, count(v.provider_id) AS taken_back
FROM payment.payments p LEFT JOIN payment.transfers v ON v.order_id = p.order_id AND v.kind = 'reversal'
WHERE p.reversals > 0 OR v.provider_id IS NOT NULL GROUP BY p.order_id, p.state, p.reversals, p.failed_refunds HAVING count(v.provider_id) <> p.reversals

-- at: reversals.go reversals
-- args: 'a payment knows which of its refunds have failed'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(p.order_id, f.order_id) AS order_id, p.refund_id, f.refund_id AS failed
FROM (SELECT order_id, unnest(failed_refunds) AS refund_id FROM payment.payments WHERE failed_refunds <> '{}') p
FULL JOIN (SELECT f.order_id, f.refund_id FROM payment.failed_refunds f JOIN payment.payments q USING (order_id)
           WHERE (f.amount_minor, f.currency) = (q.amount_minor, q.currency)) f ON (f.order_id, f.refund_id) = (p.order_id, p.refund_id)
WHERE p.order_id IS NULL OR f.order_id IS NULL) q LIMIT 10) r

-- at: reversals.go reversals
-- args: 'a dispute is of the charge of the payment that it names'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT d.dispute_id, d.order_id, d.charge_id, p.charge_id AS payments FROM payment.disputes d LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p USING (order_id)
	WHERE d.order_id IS NOT NULL AND d.charge_id IS DISTINCT FROM p.charge_id) q LIMIT 10) r

-- at: reversals.go reversals
-- args: 'a payment counts what was taken back of its refunds'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT p.order_id, p.state, p.reversals, p.failed_refunds, count(v.provider_id) AS taken_back
FROM payment.payments p LEFT JOIN payment.transfers v ON v.order_id = p.order_id AND v.kind = 'reversal'
WHERE p.reversals > 0 OR v.provider_id IS NOT NULL GROUP BY p.order_id, p.state, p.reversals, p.failed_refunds HAVING count(v.provider_id) <> p.reversals) q LIMIT 10) r

-- at: reversals.go reversals
-- args: 'a refund that has failed is taken back'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT t.order_id, t.provider_id, f.effect, f.failed_at FROM payment.failed_refunds f JOIN payment.transfers t ON t.provider_id = f.refund_id
WHERE NOT EXISTS (SELECT FROM payment.transfers v WHERE v.provider_id = 'reversal-' || t.provider_id)) q LIMIT 10) r

-- at: reversals.go reversals
-- args: 'a reversal takes a refund back, all of it, that has failed'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT v.order_id, v.provider_id, v.amount_minor, t.amount_minor AS refunded, f.effect
FROM payment.transfers v
LEFT JOIN payment.transfers t ON 'reversal-' || t.provider_id = v.provider_id AND t.kind = 'refund'
LEFT JOIN payment.failed_refunds f ON f.refund_id = t.provider_id
WHERE v.kind = 'reversal' AND ((v.order_id, v.amount_minor, v.currency) IS DISTINCT FROM (t.order_id, t.amount_minor, t.currency)
      OR (f.order_id, f.effect, f.amount_minor, f.currency) IS DISTINCT FROM (v.order_id, 'owed again', v.amount_minor, v.currency))) q LIMIT 10) r

-- at: reversals.go reversals
SELECT t.order_id, t.provider_id, f.effect, f.failed_at FROM payment.failed_refunds f JOIN payment.transfers t ON t.provider_id = f.refund_id
WHERE NOT EXISTS (SELECT FROM payment.transfers v WHERE v.provider_id = 'reversal-' || t.provider_id)

-- at: reversals.go reversals
SELECT v.order_id, v.provider_id, v.amount_minor, t.amount_minor AS refunded, f.effect
FROM payment.transfers v
LEFT JOIN payment.transfers t ON 'reversal-' || t.provider_id = v.provider_id AND t.kind = 'refund'
LEFT JOIN payment.failed_refunds f ON f.refund_id = t.provider_id
WHERE v.kind = 'reversal' AND ((v.order_id, v.amount_minor, v.currency) IS DISTINCT FROM (t.order_id, t.amount_minor, t.currency)
      OR (f.order_id, f.effect, f.amount_minor, f.currency) IS DISTINCT FROM (v.order_id, 'owed again', v.amount_minor, v.currency))

-- at: reversals.go toldLater
SELECT d.dispute_id, d.order_id, d.charge_id FROM payment.disputes d
WHERE EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = d.charge_id)
  AND NOT EXISTS (SELECT FROM audit_ledger l WHERE l.kind = 'stand' AND l.id = d.dispute_id)

-- at: reversals.go toldLater
SELECT f.refund_id, f.order_id, f.effect FROM payment.failed_refunds f JOIN audit_ledger r ON r.kind = 'refund' AND r.id = f.refund_id
WHERE NOT EXISTS (SELECT FROM audit_ledger v WHERE v.kind = 'reversal' AND v.id = f.refund_id)

-- at: reversals.go toldLater
SELECT l.id AS dispute_id, l.order_id, l.charge_id, l.amount_minor, l.status AS theirs, d.status || '/' || d.funds AS ours
FROM (SELECT DISTINCT ON (id) * FROM audit_ledger WHERE kind = 'stand' ORDER BY id, at DESC) l
LEFT JOIN payment.disputes d ON d.dispute_id = l.id
WHERE (NOT l.late OR l.at <= d.as_of) AND (l.charge_id, l.amount_minor, l.currency, l.status) IS DISTINCT FROM
                                          (d.charge_id, d.amount_minor, d.currency, d.status || '/' || d.funds)

-- at: reversals.go toldLater
SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
	WHERE r.kind = 'reversal' AND NOT r.late AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))

-- at: reversals.go toldLater
-- args: 'a dispute that is known here is known at the provider'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT d.dispute_id, d.order_id, d.charge_id FROM payment.disputes d
WHERE EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = d.charge_id)
  AND NOT EXISTS (SELECT FROM audit_ledger l WHERE l.kind = 'stand' AND l.id = d.dispute_id)) q LIMIT 10) r

-- at: reversals.go toldLater
-- args: 'a refund that is known to have failed has'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT f.refund_id, f.order_id, f.effect FROM payment.failed_refunds f JOIN audit_ledger r ON r.kind = 'refund' AND r.id = f.refund_id
WHERE NOT EXISTS (SELECT FROM audit_ledger v WHERE v.kind = 'reversal' AND v.id = f.refund_id)) q LIMIT 10) r

-- at: reversals.go toldLater
-- args: 'a dispute at the provider is known, as it stands'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT l.id AS dispute_id, l.order_id, l.charge_id, l.amount_minor, l.status AS theirs, d.status || '/' || d.funds AS ours
FROM (SELECT DISTINCT ON (id) * FROM audit_ledger WHERE kind = 'stand' ORDER BY id, at DESC) l
LEFT JOIN payment.disputes d ON d.dispute_id = l.id
WHERE (NOT l.late OR l.at <= d.as_of) AND (l.charge_id, l.amount_minor, l.currency, l.status) IS DISTINCT FROM
                                          (d.charge_id, d.amount_minor, d.currency, d.status || '/' || d.funds)) q LIMIT 10) r

-- at: reversals.go toldLater
-- args: 'a refund that has failed at the provider is known to have'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
	SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
	WHERE r.kind = 'reversal' AND NOT r.late AND NOT
EXISTS (SELECT FROM payment.failed_refunds f WHERE (f.refund_id, f.charge_id, f.amount_minor, f.currency) = (r.id, r.charge_id, r.amount_minor, r.currency))) q LIMIT 10) r

-- at: reversals.go untold
SELECT DISTINCT l.kind, l.id, l.order_id, l.charge_id, l.amount_minor, l.currency, l.status FROM audit_ledger l
WHERE l.late AND (l.kind = 'reversal' AND l.id NOT IN (SELECT refund_id FROM payment.failed_refunds)
                  OR l.kind = 'stand' AND l.id NOT IN (SELECT dispute_id FROM payment.disputes)) ORDER BY l.id

-- at: reversals.go untold
-- args: 'the provider is about to tell of it'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT DISTINCT l.kind, l.id, l.order_id, l.charge_id, l.amount_minor, l.currency, l.status FROM audit_ledger l
WHERE l.late AND (l.kind = 'reversal' AND l.id NOT IN (SELECT refund_id FROM payment.failed_refunds)
                  OR l.kind = 'stand' AND l.id NOT IN (SELECT dispute_id FROM payment.disputes)) ORDER BY l.id) q LIMIT 10) r

-- at: settled.go closedAccounts
-- args: 'the account is closed: by our books alone'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT k.provider, k.account, k.by, k.reason, k.at, m.*
FROM payment.closed_accounts k
LEFT JOIN LATERAL (
	SELECT p.currency, count(*) AS payments, count(*) FILTER (WHERE p.state IN ('PENDING', 'UNKNOWN', 'REFUNDING')) AS under_way,
		coalesce(sum(p.amount_minor) FILTER (WHERE p.charge_id IS NOT NULL), 0) AS charged,
		coalesce(sum(p.amount_minor) FILTER (WHERE p.state = 'REFUNDED'), 0) AS refunded
	FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p WHERE (p.provider, p.account) = (k.provider, k.account) GROUP BY p.currency) m ON true
WHERE NOT EXISTS (SELECT FROM audit_accounts r WHERE (r.provider, r.account) = (k.provider, k.account))
ORDER BY k.provider, k.account, m.currency) q LIMIT 10) r

-- at: settled.go settledByAPerson
-- args: 'what was settled outside says who did so and why'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(t.order_id, a.order_id) AS order_id, t.provider_id, a.outcome, a.by, a.reason
FROM (SELECT order_id, provider_id, CASE kind WHEN 'refund' THEN 'refunded' ELSE 'charged' END AS outcome FROM payment.transfers
      WHERE credit = 'outside' OR provider_id = 'outside-charge-' || order_id) t
FULL JOIN (SELECT order_id, coalesce(outcome, 'refunded') AS outcome, by, reason FROM payment.acts WHERE act = 'settle') a
     ON a.order_id = t.order_id AND (a.outcome = t.outcome OR a.outcome = 'refunded' AND t.outcome = 'charged')
LEFT JOIN payment.payments p ON p.order_id = a.order_id
WHERE a.order_id IS NULL
   OR t.order_id IS NULL AND (a.outcome = 'refunded' OR p.order_id IS NULL OR (p.charge_id IS NOT NULL) <> (a.outcome = 'charged'))) q LIMIT 10) r

-- at: settled.go settlements
-- args: 'settled outside, by a person'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT s.order_id, coalesce(s.outcome, 'refunded') AS outcome, s.by, s.reason, s.at, p.state, p.amount_minor, p.currency, false AS archived
FROM payment.acts s JOIN payment.payments p USING (order_id) WHERE s.act = 'settle'
UNION ALL SELECT order_id, settled, NULL, NULL, NULL, state, amount_minor, currency, true FROM payment.archived WHERE settled IS NOT NULL ORDER BY order_id) q LIMIT 10) r

-- at: settled.go settlements
SELECT s.order_id, coalesce(s.outcome, 'refunded') AS outcome, s.by, s.reason, s.at, p.state, p.amount_minor, p.currency, false AS archived
FROM payment.acts s JOIN payment.payments p USING (order_id) WHERE s.act = 'settle'
UNION ALL SELECT order_id, settled, NULL, NULL, NULL, state, amount_minor, currency, true FROM payment.archived WHERE settled IS NOT NULL ORDER BY order_id

-- at: shelf.go expectedHolds
-- args: ids(9500, 10)
WITH under_way AS MATERIALIZED ( -- few, found by an index of their own, among many lines
	SELECT id, customer, hold_id, deadline FROM orders.orders WHERE status IN ('CREATED', 'PROCESSING', 'ENDING') AND hold_id IS NOT NULL
)
SELECT l.product_id, c.id, l.quantity, (extract(epoch FROM c.expires_at - interval '1 second') * 1000)::bigint,
	(extract(epoch FROM c.expires_at + interval '1 second') * 1000)::bigint, false, c.customer
FROM cart.lines l JOIN cart.carts c ON c.id = l.cart_id
WHERE l.product_id = ANY($1) AND l.held AND c.state = 'OPEN' AND c.expires_at IS NOT NULL
UNION ALL
SELECT l.product_id, o.hold_id, l.quantity, (extract(epoch FROM o.deadline) * 1000)::bigint,
	(extract(epoch FROM greatest(o.deadline, now()) + interval '2 minutes') * 1000)::bigint, true, o.customer
FROM under_way o JOIN orders.lines l ON l.order_id = o.id
WHERE l.product_id = ANY($1) AND NOT EXISTS (SELECT FROM inventory.reservations r WHERE r.order_id = o.id AND (r.state <> 'GATHERING'
	OR EXISTS (SELECT FROM inventory.reservation_lines t WHERE t.order_id = o.id AND t.product_id = l.product_id))) -- its lanes take one by one

-- at: shelf.go readProducts
-- args: ids(9500, 10)
SELECT product_id, available, version FROM inventory.stock WHERE product_id = ANY($1)

-- at: snapshot.go desk.open
SELECT now()

-- at: snapshot.go snapshot.ask
-- args: 'a charge of the provider''s is one of ours'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT c.id AS charge_id, c.key, c.order_id, c.amount_minor AS theirs, p.amount_minor AS ours, p.state
		FROM audit_ledger c LEFT JOIN (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p ON p.charge_key = c.key
		WHERE c.kind = 'charge' AND NOT c.late
		  AND (p.order_id IS NULL OR p.order_id::text <> c.order_id OR (p.amount_minor, p.currency) <> (c.amount_minor, c.currency)
		       OR (p.provider, p.account) <> (c.provider, c.account)
		       OR p.state NOT IN ('PENDING', 'UNKNOWN', 'SUCCESS', 'REFUNDING', 'REFUNDED') OR p.charge_id <> c.id)
		  AND NOT EXISTS (SELECT FROM payment.orphans o WHERE o.provider_id = c.id AND o.refund_id IS NOT NULL)) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'a quantity in a cart is above zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT cart_id, product_id, quantity FROM cart.lines WHERE quantity <= 0) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'what was settled outside says who did so and why'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(t.order_id, a.order_id) AS order_id, t.provider_id, a.by, a.reason
FROM (SELECT * FROM payment.transfers WHERE credit = 'outside') t
FULL JOIN (SELECT * FROM payment.acts WHERE act = 'settle') a ON a.order_id = t.order_id
WHERE t.order_id IS NULL OR a.order_id IS NULL) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'a dispute that is known here is known at the provider'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT d.dispute_id, d.order_id, d.charge_id FROM payment.disputes d
WHERE d.provider = 'sandbox' AND EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = d.charge_id) -- which lists them
  AND NOT EXISTS (SELECT FROM audit_ledger l WHERE l.kind = 'stand' AND l.id = d.dispute_id)) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'a key outlives the making of its order by a day'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT k.customer, k.key, k.order_id, k.created_at, k.expires_at FROM orders.idempotency_keys k
WHERE k.expires_at < k.created_at + interval '23 hours' OR k.created_at > now() + interval '30 s') q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'an ordered quantity is above zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT order_id, product_id, quantity FROM orders.lines WHERE quantity <= 0) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'a charge of ours is one of the provider''s'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT p.order_id, p.state, p.charge_id, p.amount_minor FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p
		WHERE p.charge_id IS NOT NULL AND (p.provider, p.account) IN (SELECT provider, account FROM audit_accounts) AND NOT coalesce(p.charge_id IN (SELECT provider_id FROM payment.orphans WHERE settled_at IS NOT NULL), false)
		  AND NOT EXISTS (SELECT FROM audit_ledger c WHERE c.kind = 'charge' AND c.id = p.charge_id AND c.key = p.charge_key
		                  AND (c.provider, c.account) = (p.provider, p.account))) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'a refund that was made by hand at the provider is known here'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT r.id AS refund_id, r.order_id, r.charge_id, r.amount_minor FROM audit_ledger r
		WHERE r.kind = 'refund' AND NOT r.late AND r.key = ''
		  AND NOT EXISTS (SELECT FROM (
SELECT order_id, state, charge_key, refund_key, charge_id, refund_id, amount_minor, currency, provider, account FROM payment.payments
UNION ALL SELECT order_id, state, 'charge-' || order_id, 'refund-' || order_id, charge_id, refund_id, amount_minor, currency,
	coalesce(provider, ''), coalesce(account, '') FROM payment.archived) p WHERE p.refund_id = r.id AND p.order_id::text = r.order_id)) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'settled outside, by a person'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT s.order_id, coalesce(s.outcome, 'refunded') AS outcome, s.by, s.reason, s.at, p.state, p.amount_minor, p.currency
FROM payment.acts s JOIN payment.payments p USING (order_id) WHERE s.act = 'settle' ORDER BY s.order_id) q LIMIT 10) r

-- at: snapshot.go snapshot.ask
-- args: 'settled outside, by a person'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT s.order_id, s.by, s.reason, s.at, p.amount_minor, p.currency
FROM payment.acts s JOIN payment.payments p USING (order_id) WHERE s.act = 'settle' ORDER BY s.order_id) q LIMIT 10) r

-- at: stock.go brokenChains
-- args: 'each movement''s balance is what the one before it left'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT s.product_id, s.available, c.movements AS carried, coalesce(m.chain, 0) + coalesce(c.chain, 0) AS chain, inventory.link(0, s.available) AS whole_chain
FROM inventory.stock s
LEFT JOIN (SELECT product_id, sum(inventory.link(balance - quantity, balance)) AS chain FROM inventory.movements GROUP BY product_id) m
  ON m.product_id = s.product_id
LEFT JOIN inventory.carried c ON c.product_id = s.product_id
WHERE coalesce(m.chain, 0) + coalesce(c.chain, 0) <> inventory.link(0, s.available)) q LIMIT 10) r

-- at: stock.go countStock
SELECT count(*) FROM inventory.stock

-- at: stock.go movementsOfReservations
-- args: 'an order''s movements are those of its reservation'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(l.order_id, m.order_id) AS order_id, coalesce(l.product_id, m.product_id) AS product_id, r.state,
	l.quantity AS reserved, coalesce(m.net, 0) AS moved
FROM inventory.reservation_lines l
FULL JOIN (SELECT order_id, product_id, -sum(quantity) AS net FROM inventory.movements
           WHERE order_id IS NOT NULL GROUP BY order_id, product_id) m ON m.order_id = l.order_id AND m.product_id = l.product_id
LEFT JOIN inventory.reservations r ON r.order_id = coalesce(l.order_id, m.order_id)
WHERE coalesce(m.net, 0) <> CASE WHEN r.state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT l.returned THEN coalesce(l.quantity, 0) ELSE 0 END
   OR r.order_id IS NULL AND l.order_id IS NOT NULL) q LIMIT 10) r

-- at: stock.go proveNothingNegative
-- args: 'a movement moves units and leaves none below zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT id AS movement_id, product_id, kind, quantity, balance FROM inventory.movements
WHERE balance < 0 OR quantity = 0 OR quantity < 0 AND kind IN ('opening', 'restock', 'release') OR quantity > 0 AND kind = 'reserve') q LIMIT 10) r

-- at: stock.go proveNothingNegative
-- args: 'a reserved quantity is above zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT order_id, product_id, quantity FROM inventory.reservation_lines WHERE quantity <= 0) q LIMIT 10) r

-- at: stock.go proveNothingNegative
-- args: 'a product''s units are not below zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT product_id, available, allocated FROM inventory.stock WHERE available < 0 OR allocated < 0) q LIMIT 10) r

-- at: stock.go proveNothingNegative
-- args: 'what archived orders took is not below zero'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT product_id, taken, movements FROM inventory.carried WHERE taken < 0 OR movements <= 0) q LIMIT 10) r

-- at: stock.go proveNothingSoldTwice
SELECT count(*) FROM inventory.reservations

-- at: stock.go proveNothingSoldTwice
-- args: 'an order releases what it has reserved'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT b.order_id, b.product_id, b.quantity AS released, -a.quantity AS reserved
FROM inventory.movements b
LEFT JOIN inventory.movements a ON a.order_id = b.order_id AND a.product_id = b.product_id AND a.kind = 'reserve'
WHERE b.kind = 'release' AND b.quantity IS DISTINCT FROM -a.quantity) q LIMIT 10) r

-- at: stock.go proveNothingSoldTwice
-- args: 'a product''s reservations are the net of its reserve and release movements'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT coalesce(t.product_id, m.product_id) AS product_id, coalesce(t.units, 0) AS reserved, coalesce(m.net, 0) AS moved
		FROM (
SELECT l.product_id, sum(l.quantity) AS units
FROM inventory.reservations r JOIN inventory.reservation_lines l ON l.order_id = r.order_id
WHERE r.state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT l.returned GROUP BY l.product_id) t
		FULL JOIN (SELECT product_id, -sum(quantity) AS net FROM inventory.movements
		           WHERE kind IN ('reserve', 'release') GROUP BY product_id) m ON m.product_id = t.product_id
		WHERE coalesce(t.units, 0) <> coalesce(m.net, 0)) q LIMIT 10) r

-- at: stock.go proveNothingSoldTwice
-- args: 'an order reserves a product once and releases it once'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT order_id, product_id, kind, count(*) AS times FROM inventory.movements
WHERE order_id IS NOT NULL GROUP BY order_id, product_id, kind HAVING count(*) > 1) q LIMIT 10) r

-- at: stock.go proveStockConserved
-- args: 'a product has stock, and stock is of a product'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(p.id, s.product_id) AS product_id, p.sku FROM inventory.products p
FULL JOIN inventory.stock s ON s.product_id = p.id WHERE p.id IS NULL OR s.product_id IS NULL) q LIMIT 10) r

-- at: stock.go proveStockConserved
-- args: 'the sum of a product''s movements, less what archived orders took, is what is available'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(s.product_id, m.product_id) AS product_id, s.available, m.moved
FROM inventory.stock s
FULL JOIN (SELECT product_id, sum(moved) AS moved FROM (
	SELECT product_id, quantity AS moved FROM inventory.movements
	UNION ALL SELECT product_id, -taken FROM inventory.carried) e GROUP BY product_id) m ON m.product_id = s.product_id
WHERE s.available IS DISTINCT FROM coalesce(m.moved, 0)) q LIMIT 10) r

-- at: stock.go proveStockConserved
-- args: 'what was supplied is available or allocated to orders that are not undone'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT s.product_id, coalesce(m.supplied, 0) AS supplied, s.available, s.allocated, coalesce(t.units, 0) AS taken, coalesce(c.taken, 0) AS carried
		FROM inventory.stock s
		LEFT JOIN (SELECT product_id, sum(quantity) AS supplied FROM inventory.movements
		           WHERE kind IN ('opening', 'restock', 'adjust') GROUP BY product_id) m ON m.product_id = s.product_id
		LEFT JOIN (
SELECT l.product_id, sum(l.quantity) AS units
FROM inventory.reservations r JOIN inventory.reservation_lines l ON l.order_id = r.order_id
WHERE r.state IN ('RESERVED', 'GATHERING', 'RETURNING') AND NOT l.returned GROUP BY l.product_id) t ON t.product_id = s.product_id
		LEFT JOIN inventory.carried c ON c.product_id = s.product_id
		WHERE coalesce(m.supplied, 0) <> s.available + coalesce(t.units, 0) + coalesce(c.taken, 0) OR s.allocated <> coalesce(t.units, 0) + coalesce(c.taken, 0)) q LIMIT 10) r

-- at: stock.go reservedLines
-- args: 'the reservations are the lines of the orders that are RESERVED'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT coalesce(i.order_id, o.order_id) AS order_id, coalesce(i.product_id, o.product_id) AS product_id,
	i.quantity AS reserved, o.quantity AS ordered
FROM (SELECT l.order_id, l.product_id, l.quantity FROM inventory.reservation_lines l
      JOIN inventory.reservations r ON r.order_id = l.order_id WHERE r.state = 'RESERVED') i
FULL JOIN (SELECT l.order_id, l.product_id, l.quantity FROM orders.lines l
      JOIN orders.orders o ON o.id = l.order_id WHERE o.inventory_status = 'RESERVED') o
  ON o.order_id = i.order_id AND o.product_id = i.product_id
WHERE i.quantity IS DISTINCT FROM o.quantity) q LIMIT 10) r

-- at: timeline.go proveTimelineWhole
SELECT count(*) FROM orders.orders WHERE created_at >= (SELECT to_timestamp(min(substr(c.relname, 8)), 'YYYYMMDD_HH24') + interval '1 minute'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.outbox'::regclass AND NOT i.inhdetachpending)

-- at: timeline.go proveTimelineWhole
-- args: 'a fact of an order is said once'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
SELECT f.order_id, f.name, count(*) AS times FROM shared.outbox f
WHERE f.order_id IS NOT NULL AND f.name <> 'order.updated' AND f.name NOT LIKE 'lane.%' -- said for each state, for each lane
GROUP BY f.order_id, f.name HAVING count(*) > 1) q LIMIT 10) r

-- at: timeline.go proveTimelineWhole
-- args: 'order has said each of an order''s states'
SELECT row_to_json(r) FROM (SELECT $1::text AS rule, q.* FROM (
		SELECT o.id AS order_id, o.version, count(f.id) + 1 AS said FROM orders.orders o
		LEFT JOIN shared.outbox f ON f.order_id = o.id
		  AND f.name IN ('order.updated', 'order.ending', 'order.completed', 'order.failed', 'order.cancelled')
		WHERE o.created_at >= (SELECT to_timestamp(min(substr(c.relname, 8)), 'YYYYMMDD_HH24') + interval '1 minute'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.outbox'::regclass AND NOT i.inhdetachpending) GROUP BY o.id HAVING count(f.id) + 1 <> o.version) q LIMIT 10) r

-- at: timeline.go proveTimelineWhole
-- args: '{"optimistic/CANCELLED//VOIDED/OUT_OF_STOCK", "optimistic/CANCELLED//VOIDED/OUT_OF_STOCK", "optimistic/CANCELLED//VOIDED/OUT_OF_STOCK"}', '{"order.created", "order.ending", "stock.failed"}', 'everything was said that leads to the order''s end'
SELECT row_to_json(r) FROM (SELECT $3::text AS rule, q.* FROM (
		SELECT o.id AS order_id, concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status) AS state, e.fact AS missing FROM orders.orders o
		JOIN unnest($1::text[], $2::text[]) AS e(state, fact) ON e.state = concat_ws('/', o.strategy, o.status, coalesce(o.failure_reason, ''), o.payment_status, o.inventory_status)
		WHERE o.created_at >= (SELECT to_timestamp(min(substr(c.relname, 8)), 'YYYYMMDD_HH24') + interval '1 minute'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.outbox'::regclass AND NOT i.inhdetachpending)
		  AND NOT EXISTS (SELECT FROM shared.outbox f WHERE f.order_id = o.id AND f.name = e.fact)) q LIMIT 10) r

-- at: timeline.go proveTimelineWhole
-- args: '{"parallel", "parallel", "parallel"}', '{"payment.refunded", "payment.refunded", "payment.refunded"}', '{"order.failed", "order.cancelled", "order.updated"}', 'a fact of an order follows from another of it, as the strategy''s table has it'
SELECT row_to_json(r) FROM (SELECT $4::text AS rule, q.* FROM (
		SELECT f.id AS fact_id, f.order_id, f.strategy, f.name, f.cause, c.name AS cause_name
		FROM shared.outbox f LEFT JOIN shared.outbox c ON c.id = f.cause
		LEFT JOIN unnest($1::text[], $2::text[], $3::text[]) AS t(strategy, fact, may) ON t.strategy = f.strategy AND t.fact = c.name AND t.may = f.name
		WHERE f.order_id IS NOT NULL AND CASE
			WHEN f.cause IS NULL THEN f.name NOT IN ('order.created', 'order.ending') -- of customers and of the clock
			WHEN c.id IS NULL THEN f.cause >= shared.uuid_from((SELECT to_timestamp(min(substr(c.relname, 8)), 'YYYYMMDD_HH24') + interval '1 minute'
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'shared.outbox'::regclass AND NOT i.inhdetachpending))
			ELSE t.may IS NULL OR c.order_id IS DISTINCT FROM f.order_id END) q LIMIT 10) r
