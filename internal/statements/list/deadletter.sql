-- at: log.go Letters.History
-- args: id(9500)
SELECT g.id, g.action, g.by, g.reason,
	CASE WHEN g.result = 'sent' AND EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = g.fact_id AND i.module = g.module)
		THEN 'heard' ELSE g.result END, g.at
FROM shared.dead_letter_log g WHERE g.letter_id = $1 ORDER BY g.at DESC, g.id DESC LIMIT 100

-- at: log.go Letters.asked
-- args: ids(9500, 10), ids(9500, 10), ids(9500, 10), '{"inventory"}', '{"order.created"}', 'admin'
INSERT INTO shared.dead_letter_log (id, letter_id, fact_id, module, name, action, by, result)
SELECT *, 'replay', $6, 'asked' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])

-- at: log.go Letters.deleted
-- args: id(9500), id(9500), 'an operator', 'the order was refunded by hand'
WITH gone AS (DELETE FROM shared.dead_letters WHERE id = $2 RETURNING id, module, fact_id, order_id, name)
INSERT INTO shared.dead_letter_log (id, letter_id, module, fact_id, order_id, name, action, by, reason, result)
SELECT $1, id, module, fact_id, order_id, name, 'delete', $3, $4, 'deleted' FROM gone

-- at: log.go Letters.notTaken
-- args: ids(9500, 10)
UPDATE shared.dead_letter_log SET result = 'not taken' WHERE id = ANY ($1) AND result = 'asked'

-- at: log.go Letters.sent
-- args: ids(9500, 10), ids(9500, 10), array_fill(now(), '{10}'), 'admin'
WITH done AS (UPDATE shared.dead_letter_log SET result = 'sent' WHERE id = ANY ($1) AND result = 'asked')
UPDATE shared.dead_letters d SET replayed_at = now(), replayed_by = $4
FROM unnest($2::uuid[], $3::timestamptz[]) AS s(id, at) WHERE d.id = s.id AND d.at = s.at

-- at: status.go Letters.Status
-- args: 'permanent'
-- allow scan: letters that went back are counted for an operator; they come of faults, and end
-- allow growth: the same
SELECT count(*), count(*) FILTER (WHERE reason = $1), (SELECT count(*) FROM shared.dead_letters WHERE replayed_at IS NOT NULL), min(at)
FROM shared.dead_letters WHERE replayed_at IS NULL

-- at: status.go Letters.measure
SELECT module, reason, count(*) FROM shared.dead_letters WHERE replayed_at IS NULL GROUP BY 1, 2

-- at: store.go Letters.Clean
-- args: '2592000000 ms', '1000'
DELETE FROM shared.dead_letter_log WHERE id = ANY (ARRAY(
SELECT g.id FROM shared.dead_letter_log g WHERE g.at < now() - $1::interval
AND (SELECT d.id FROM shared.dead_letters d WHERE d.id = g.letter_id) IS NULL ORDER BY g.at LIMIT $2))

-- at: store.go Letters.Clean
-- args: '2592000000 ms', '1000'
DELETE FROM shared.dead_letters WHERE id = ANY (ARRAY(
SELECT id FROM shared.dead_letters WHERE replayed_at < now() - $1::interval ORDER BY replayed_at LIMIT $2))

-- at: store.go Letters.Find
-- args: id(9500)
SELECT d.id, d.module, d.fact_id, d.name, d.routing_key, d.reason, d.first_error, d.last_error, d.attempts, d.body,
octet_length(d.body), d.at, d.replayed_at, d.replayed_by,
EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = d.fact_id AND i.module = d.module) FROM shared.dead_letters d WHERE d.id = $1

-- at: store.go Letters.Keep
-- args: id(9500), 'inventory', id(9500), 'order.created', 'optimistic.order.created', 'exhausted', 'no appetite', 'no appetite', '0', '\x7b7d', now(), '00000000-0000-0000-0000-000000000000', id(9500)
WITH kept AS (
	INSERT INTO shared.dead_letters
		(id, module, fact_id, name, routing_key, reason, first_error, last_error, attempts, body, at, order_id)
	VALUES ($1, $2, nullif($3, $12::uuid), $4, $5, $6, $7, $8, $9, $10, $11, nullif($13, $12::uuid))
	ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, last_error = excluded.last_error, body = excluded.body,
		attempts = dead_letters.attempts + excluded.attempts, at = excluded.at, replayed_at = NULL
	WHERE dead_letters.at < excluded.at
	RETURNING id)
UPDATE shared.dead_letter_log g SET result = 'died again' FROM kept
WHERE g.letter_id = kept.id AND g.action = 'replay' AND g.result IN ('asked', 'sent')

-- at: store.go Letters.List
-- args: '', '', '', 'false', now(), '00000000-0000-0000-0000-000000000000', '201', '4096'
SELECT d.id, d.module, d.fact_id, d.name, d.routing_key, d.reason, d.first_error, d.last_error, d.attempts, substring(d.body FROM 1 FOR $8),
octet_length(d.body), d.at, d.replayed_at, d.replayed_by,
EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = d.fact_id AND i.module = d.module) FROM shared.dead_letters d
WHERE ($1 = '' OR d.module = $1) AND ($2 = '' OR d.name = $2) AND ($3 = '' OR d.reason = $3) AND (NOT $4 OR d.replayed_at IS NULL) AND (d.at, d.id) < ($5, $6) ORDER BY d.at DESC, d.id DESC LIMIT $7

-- at: store.go Letters.count
-- args: 'inventory', 'order.failed', '', 'true'
-- allow scan: an operator's filter, asked for once before letters are replayed; with the filter known the index of open letters is taken
-- allow filter: the same
-- allow growth: the same
SELECT count(*) FROM shared.dead_letters d WHERE ($1 = '' OR d.module = $1) AND ($2 = '' OR d.name = $2) AND ($3 = '' OR d.reason = $3) AND (NOT $4 OR d.replayed_at IS NULL)

-- at: store.go Letters.page
-- args: 'inventory', 'order.failed', '', 'true', now(), '00000000-0000-0000-0000-000000000000', now(), '{"inventory"}', '200', '8388608'
SELECT d.id, d.module, d.fact_id, d.name, d.routing_key, d.reason, d.first_error, d.last_error, d.attempts, d.body,
octet_length(d.body), d.at, d.replayed_at, d.replayed_by,
EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = d.fact_id AND i.module = d.module) FROM (
	SELECT p.*, sum(octet_length(p.body)) OVER (ORDER BY p.at, p.id) - octet_length(p.body) AS before
	FROM (SELECT * FROM shared.dead_letters d
		WHERE ($1 = '' OR d.module = $1) AND ($2 = '' OR d.name = $2) AND ($3 = '' OR d.reason = $3) AND (NOT $4 OR d.replayed_at IS NULL) AND (d.at, d.id) > ($5, $6) AND d.at <= $7 AND d.module = ANY ($8)
		ORDER BY d.at, d.id LIMIT $9) AS p) AS d
WHERE d.before < $10 ORDER BY d.at, d.id
