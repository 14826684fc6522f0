-- at: alone.go Alone.Begin
-- args: 'order', id(9500)
INSERT INTO shared.hearings AS h (module, fact_id, begun) VALUES ($1, $2, 1)
ON CONFLICT (module, fact_id) DO UPDATE SET begun = h.begun + 1, at = now()
RETURNING begun - 1

-- at: alone.go Alone.Clean
-- args: '3600000 ms', '1000'
DELETE FROM shared.hearings WHERE ctid = ANY (ARRAY(
SELECT ctid FROM shared.hearings WHERE at < now() - $1::interval ORDER BY at LIMIT $2))

-- at: alone.go Alone.End
-- args: 'order', id(9500)
DELETE FROM shared.hearings WHERE module = $1 AND fact_id = $2

-- at: inbox.go TooOld
-- args: '86400000 ms'
SELECT shared.uuid_from(to_timestamp(substr(min(c.relname), 7), 'YYYYMMDD')), shared.uuid_from(now() + $1::interval)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'shared.inbox'::regclass AND NOT i.inhdetachpending HAVING count(*) > 0

-- at: inbox.go insert
-- args: 'order', ids(9500, 10), '{"stock.reserved"}', ids(9500, 10), '00000000-0000-0000-0000-000000000000'
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT $1, id, name, nullif(order_id, $5)
FROM unnest($2::uuid[], $3::text[], $4::uuid[]) AS f(id, name, order_id)
ORDER BY id
ON CONFLICT DO NOTHING
RETURNING fact_id

-- at: unseen.go Unseen
SELECT pg_current_xact_id(), pg_snapshot_xmin(pg_current_snapshot())
