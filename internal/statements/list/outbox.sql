-- at: outbox.go insert
-- args: ids(9500, 10), '{"order.created"}', '{"optimistic"}', ids(9500, 10), ids(9500, 10), '{""}', '{"\\x7b7d"}', '00000000-0000-0000-0000-000000000000'
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, part, body)
SELECT id, name, strategy, nullif(order_id, $8), nullif(cause, $8), part, body
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::uuid[], $6::text[], $7::bytea[])
     AS f(id, name, strategy, order_id, cause, part, body)

-- at: partitions.go KeepPartitions
SELECT pg_try_advisory_lock(hashtext('shared.partitions')), now()

-- at: partitions.go keeper.published
SELECT coalesce((SELECT xid FROM shared.outbox_partition ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.outbox_partition USING (xid) WHERE xid >= mark)
	AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.relation = 'shared.outbox_partition'::regclass AND l.mode = 'RowExclusiveLock')
FROM shared.relay_mark

-- at: partitions.go keeper.published
SELECT coalesce((SELECT xid FROM shared.outbox_partition ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.outbox_partition USING (xid) WHERE xid >= mark)
	AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.relation = 'shared.outbox_partition'::regclass AND l.mode = 'RowExclusiveLock')
FROM shared.relay_mark

-- at: partitions.go keeper.published
SELECT coalesce((SELECT xid FROM shared.outbox_partition ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.outbox_partition USING (xid) WHERE xid >= mark)
	AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.relation = 'shared.outbox_partition'::regclass AND l.mode = 'RowExclusiveLock')
FROM shared.relay_mark

-- at: partitions.go keeper.published
SELECT coalesce((SELECT xid FROM shared.outbox_partition ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.outbox_partition USING (xid) WHERE xid >= mark)
	AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.relation = 'shared.outbox_partition'::regclass AND l.mode = 'RowExclusiveLock')
FROM shared.relay_mark

-- at: partitions.go keeper.published
SELECT coalesce((SELECT xid FROM shared.outbox_partition ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.outbox_partition USING (xid) WHERE xid >= mark)
	AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
		WHERE l.relation = 'shared.outbox_partition'::regclass AND l.mode = 'RowExclusiveLock')
FROM shared.relay_mark

-- at: reach.go ReadReach
SELECT c.relname, now() FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass) AND NOT i.inhdetachpending ORDER BY c.relname

-- at: reach.go list
-- args: 'outbox'
-- allow filter: the catalogue's tables are few
SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = ('shared.' || $1)::regclass
WHERE c.relnamespace = 'shared'::regnamespace AND c.relkind = 'r' AND c.relname ~ ('^' || $1 || '_[0-9]{8}(_[0-9]{2})?$') ORDER BY 1

-- at: reach.go readerSQL
-- args: 'outbox', 'outbox_20010101_00', true
WITH locks AS (
	SELECT pid, virtualtransaction FROM pg_locks
	WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
	  AND relation IN (to_regclass('shared.' || $2::text), CASE WHEN $3 THEN to_regclass('shared.' || $1::text) END))
SELECT pid, gid, application, since FROM (
	SELECT pid, '' AS gid, coalesce(application_name, '') AS application, xact_start AS since FROM pg_stat_activity
	WHERE datname = current_database() AND pid <> pg_backend_pid() AND (pid IN (SELECT pid FROM locks)
		OR $3 AND backend_xmin IS NOT NULL AND backend_type IS DISTINCT FROM 'autovacuum worker')
	UNION ALL SELECT 0, gid, '', prepared FROM pg_prepared_xacts
	WHERE '-1/' || transaction IN (SELECT virtualtransaction FROM locks)) AS open
WHERE coalesce(since < clock_timestamp() - interval '2 seconds', true) ORDER BY since LIMIT 1

-- at: rights.go CheckRights
SELECT current_user, bool_and(pg_has_role(relowner, 'USAGE')), has_schema_privilege('shared', 'CREATE')
FROM pg_class c WHERE oid IN ('shared.outbox'::regclass, 'shared.inbox'::regclass)
	OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass))
