-- at: bindings.go Rollout.Bound
-- args: 'next.order.weighed'
SELECT module FROM shared.bindings WHERE key = $1

-- at: bindings.go Rollout.Foreign
-- args: 'order', '{"optimistic.order.created"}'
SELECT key FROM shared.bindings WHERE module = $1 AND key <> ALL ($2::text[]) ORDER BY key

-- at: bindings.go Rollout.Record
-- args: '{"order"}', '{"optimistic.order.created"}'
INSERT INTO shared.bindings (module, key) SELECT DISTINCT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- at: bindings.go Rollout.Unbind
-- args: 'order', '{"optimistic.order.created"}'
DELETE FROM shared.bindings WHERE module = $1 AND key <> ALL ($2::text[])

-- at: release.go Rollout.bury
-- args: ids(9500, 10), '{"order"}'
DELETE FROM shared.waiting_facts w USING unnest($1::uuid[], $2::text[]) AS d(fact_id, module)
WHERE w.fact_id = d.fact_id AND w.module = d.module AND NOT w.sent

-- at: release.go Rollout.claim
-- args: '{"order"}', '{"optimistic.order.created"}', '{"0"}', '50', '200', '30000 ms'
WITH due AS (
	SELECT w.fact_id, w.module FROM unnest($1::text[], $2::text[], $3::int[]) AS k(module, key, version)
	CROSS JOIN (VALUES ('-infinity'::timestamptz, now()), (now() + $6::interval * 2, 'infinity')) AS r(above, until)
	CROSS JOIN LATERAL (
		SELECT * FROM shared.waiting_facts w
		WHERE w.module = k.module AND w.key = k.key AND w.due > r.above AND w.due <= r.until AND w.version <= k.version
		ORDER BY w.due LIMIT $4 FOR UPDATE SKIP LOCKED) AS w
	LIMIT $5)
UPDATE shared.waiting_facts w SET due = now() + $6::interval, sent = true
FROM due WHERE w.fact_id = due.fact_id AND w.module = due.module
RETURNING w.fact_id, w.module, w.body

-- at: release.go Rollout.forget
-- args: '3600000 ms', '1000'
WITH over AS (
	SELECT w.ctid FROM (SELECT fact_id, module FROM shared.waiting_facts WHERE sent
		UNION SELECT fact_id, module FROM shared.waiting_facts WHERE since < now() - $1::interval) AS old
	JOIN shared.waiting_facts w USING (fact_id, module) WHERE
		EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = w.fact_id AND i.module = w.module)
		OR EXISTS (SELECT FROM shared.dead_letters d WHERE d.fact_id = w.fact_id AND d.module = w.module AND d.replayed_at IS NULL)
	LIMIT $2 FOR UPDATE OF w SKIP LOCKED)
DELETE FROM shared.waiting_facts WHERE ctid = ANY (ARRAY(SELECT ctid FROM over))

-- at: release.go Rollout.giveUp
-- args: '3600000 ms', '200'
SELECT fact_id, module, body FROM shared.waiting_facts
WHERE since < now() - $1::interval AND NOT sent ORDER BY since LIMIT $2

-- at: rollout.go Rollout.Put
-- args: 'order', ids(9500, 10), '{"next.order.weighed", "next.order.weighed"}', '{"0", "2"}', ids(9500, 10), '{"\\x7b7d", "\\x7b7d"}', '00000000-0000-0000-0000-000000000000'
INSERT INTO shared.waiting_facts (fact_id, module, key, version, order_id, body)
SELECT DISTINCT ON (id) id, $1, key, version, nullif(order_id, $7), body
FROM unnest($2::uuid[], $3::text[], $4::int[], $5::uuid[], $6::bytea[]) AS f(id, key, version, order_id, body) ORDER BY id
ON CONFLICT (fact_id, module) DO UPDATE SET due = now(), sent = false

-- at: status.go Rollout.Status
-- allow scan: what waits is counted; it ends when it is handled, or its patience is over
SELECT module, key, count(*), min(since) FROM shared.waiting_facts GROUP BY module, key ORDER BY module, key
