-- at: query.go query
-- args: id(9500), 'alice', now(), '00000000-0000-0000-0000-000000000000', '0', '', '10', '{"payment"}', '{"optimistic"}', '{"stock.reserved"}', '{"Charge"}'
WITH archived AS MATERIALIZED (
	SELECT d.view, d.rows FROM orders.archived a JOIN archive.orders d ON (d.id, d.month) = (a.id, a.month) WHERE a.id = $1 AND a.customer = $2
), o AS (
	SELECT v.id, v.strategy, v.created_at, v.lines, v.last_fact, r.hold_id, coalesce(r.ended_at, now()) + interval '1 minute' AS until
	FROM orders.view v JOIN orders.orders r USING (id) WHERE v.id = $1 AND v.customer = $2
	UNION ALL
	SELECT v.id, v.strategy, v.created_at, v.lines, v.last_fact, r.hold_id, r.ended_at + interval '1 minute'
	FROM archived, jsonb_populate_record(NULL::orders.view, view) v, jsonb_populate_recordset(NULL::orders.orders, rows->'orders.orders') r
), said AS MATERIALIZED (
	SELECT f.id, f.at, f.name, f.cause, convert_from(f.body, 'UTF8')::jsonb AS body,
		CASE WHEN f.name LIKE '%.requested' OR f.name LIKE 'order.%' THEN 'order' WHEN f.name LIKE 'payment.%' THEN 'payment' ELSE 'inventory' END AS speaker
	FROM shared.outbox f WHERE f.order_id = $1 AND f.at >= (SELECT created_at - interval '1 hour' FROM o)
), moved AS MATERIALIZED (
	SELECT m.* FROM inventory.movements m WHERE m.order_id = $1 AND EXISTS (SELECT FROM o)
	UNION ALL SELECT m.* FROM archived, jsonb_populate_recordset(NULL::inventory.movements, rows->'inventory.movements') m
), paid AS MATERIALIZED (
	SELECT p.* FROM payment.payments p WHERE p.order_id = $1 AND EXISTS (SELECT FROM o)
	UNION ALL SELECT p.* FROM archived, jsonb_populate_recordset(NULL::payment.payments, rows->'payment.payments') p
), transfers AS MATERIALIZED (
	SELECT t.* FROM payment.transfers t WHERE t.order_id = $1 AND EXISTS (SELECT FROM o)
	UNION ALL SELECT t.* FROM archived, jsonb_populate_recordset(NULL::payment.transfers, rows->'payment.transfers') t
), known AS MATERIALIZED (
	SELECT id FROM said
	UNION SELECT fact_id FROM moved
	UNION SELECT unnest(ARRAY[cause, undo_cause]) FROM paid
	UNION SELECT unnest(ARRAY[decided_by, released_by]) FROM inventory.reservations WHERE order_id = $1 AND EXISTS (SELECT FROM o)
	UNION SELECT last_fact FROM o
), entries AS (
	SELECT at, id AS fact, 0 AS rank, '' AS key, 'fact' AS kind, speaker AS module, name,
		jsonb_build_object('cause', cause, 'data', (body->'data') - 'lines', 'lines', jsonb_array_length(body->'data'->'lines')) AS detail
	FROM said
	UNION ALL
	SELECT i.at, i.fact_id, 1, i.module, 'handled', i.module, i.name, jsonb_build_object('verb', t.verb, 'said', coalesce((
		SELECT jsonb_agg(jsonb_build_object('name', s.name, 'fact_id', s.id) ORDER BY s.id) FROM said s WHERE s.cause = i.fact_id AND s.speaker = i.module), '[]'))
	FROM known k JOIN shared.inbox i ON i.fact_id = k.id CROSS JOIN o
	LEFT JOIN unnest($8::text[], $9::text[], $10::text[], $11::text[]) AS t(module, strategy, fact, verb)
	  ON t.module = i.module AND t.strategy = o.strategy AND t.fact = i.name
	UNION ALL
	SELECT at, fact_id, 2, kind || product_id, 'stock', 'inventory', kind, jsonb_build_object('product_id', product_id, 'quantity', quantity, 'balance', balance)
	FROM moved
	UNION ALL
	SELECT a.at, CASE WHEN a.call IN ('refund', 'close') THEN coalesce(p.undo_cause, p.cause) ELSE p.cause END, 3, lpad(a.claim::text, 19, '0') || lpad(a.n::text, 5, '0'),
		'provider', 'payment', a.call, jsonb_build_object('try', a.claim, 'answer', nullif(a.verdict, ''), 'ms', a.ms)
	FROM (SELECT * FROM payment.attempts WHERE order_id = $1
	      UNION ALL SELECT a.* FROM archived, jsonb_populate_recordset(NULL::payment.attempts, rows->'payment.attempts') a) a
	JOIN paid p USING (order_id)
	UNION ALL
	SELECT t.at, t.cause, 4, t.kind || t.provider_id, 'provider', 'payment', CASE WHEN t.kind = 'charge' THEN 'charged' WHEN t.kind = 'reversal' THEN 'reversed' WHEN t.credit = 'outside' THEN 'settled' ELSE 'refunded' END,
		jsonb_build_object('provider_id', t.provider_id, 'amount_minor', t.amount_minor, 'currency', t.currency)
	FROM transfers t
	UNION ALL
	SELECT f.told_at, coalesce(p.undo_cause, p.cause), 10, f.refund_id, 'provider', 'payment', 'refund failed',
		jsonb_build_object('provider_id', f.refund_id, 'amount_minor', f.amount_minor, 'currency', f.currency, 'reason', f.reason, 'effect', f.effect)
	FROM payment.failed_refunds f JOIN paid p USING (order_id) WHERE f.order_id = $1
	UNION ALL
	SELECT d.told_at, p.cause, 11, d.dispute_id, 'provider', 'payment', 'disputed', jsonb_build_object('provider_id', d.dispute_id,
		'amount_minor', d.amount_minor, 'currency', d.currency, 'reason', d.reason, 'status', d.status, 'funds', d.funds, 'as_of', d.as_of)
	FROM payment.disputes d JOIN paid p USING (order_id) WHERE d.order_id = $1
	UNION ALL
	SELECT d.at, '00000000-0000-0000-0000-000000000000', 5, d.run_id || '/' || d.n, 'repair', 'reconciler', d.pair,
		jsonb_build_object('key', d.key, 'action', d.action, 'run_id', d.run_id)
	FROM o CROSS JOIN LATERAL (
		SELECT 'cart:{' || o.hold_id || '}' AS key
		UNION ALL SELECT p || ':{' || (l->>'product_id') || '}' FROM jsonb_array_elements(o.lines) l, unnest(ARRAY['stock', 'holds']) p
	) AS own CROSS JOIN LATERAL (
		SELECT * FROM shared.reconciliation_differences d WHERE d.key = own.key AND d.at BETWEEN o.created_at AND o.until OFFSET 0 -- by its index
	) AS d
	UNION ALL
	SELECT d.at, d.fact_id, 6, d.id::text, 'dead_letter', d.module, d.name,
		jsonb_build_object('reason', d.reason, 'attempts', d.attempts, 'replayed_at', d.replayed_at)
	FROM known k JOIN shared.dead_letters d ON d.fact_id = k.id
	UNION ALL
	SELECT g.at, g.fact_id, 7, g.id::text, 'dead_letter', g.module, g.name, jsonb_build_object('action', g.action, 'result', g.result)
	FROM known k JOIN shared.dead_letter_log g ON g.fact_id = k.id
	UNION ALL
	SELECT w.since, w.fact_id, 8, w.module, 'waiting', w.module, substr(w.key, strpos(w.key, '.') + 1),
		jsonb_build_object('key', w.key, 'version', w.version, 'sent', w.sent)
	FROM known k JOIN shared.waiting_facts w ON w.fact_id = k.id
	UNION ALL
	SELECT a.at, coalesce(p.undo_cause, p.cause), 9, a.id::text, 'operator', 'payment', a.act, jsonb_build_object('state', a.state)
	FROM (SELECT * FROM payment.acts WHERE order_id = $1
	      UNION ALL SELECT a.* FROM archived, jsonb_populate_recordset(NULL::payment.acts, rows->'payment.acts') a) a
	JOIN paid p USING (order_id)
), page AS (
	SELECT * FROM entries WHERE (at, fact, rank, key COLLATE "C") > ($3::timestamptz, $4::uuid, $5::int, $6::text COLLATE "C")
	ORDER BY at, fact, rank, key COLLATE "C" LIMIT $7
)
SELECT page.at, coalesce(page.fact, '00000000-0000-0000-0000-000000000000'), coalesce(page.rank, 0), coalesce(page.key, ''), coalesce(page.kind, ''),
	coalesce(page.module, ''), coalesce(page.name, ''), coalesce(page.detail, '{}')
FROM o LEFT JOIN page ON true ORDER BY page.at, page.fact, page.rank, page.key COLLATE "C"
