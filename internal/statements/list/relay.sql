-- at: holder.go holderSQL
SELECT pid, gid, database, since FROM (
	SELECT pid, '' AS gid, coalesce(datname::text, '') AS database, xact_start AS since, age(backend_xid) AS age
	FROM pg_stat_activity WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()
	UNION ALL SELECT 0, gid, database::text, prepared, age(transaction) FROM pg_prepared_xacts) AS open
WHERE coalesce(since NOT BETWEEN clock_timestamp() - interval '2 seconds' AND clock_timestamp() + interval '2 seconds', true)
  AND (SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) >= (SELECT mark FROM shared.relay_mark)
ORDER BY age DESC LIMIT 1

-- at: keeping.go reading.emitMark
-- args: 'a_slot.mark', '16694:726:16695:726'
SELECT pg_logical_emit_message(true, $1, pg_current_snapshot()::text) WHERE $2 =
(SELECT p.oid || ':' || p.xmin || ':' || r.oid || ':' || r.xmin
 FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
 WHERE p.pubname = 'holdfast_outbox' AND p.pubinsert AND p.pubviaroot AND r.prrelid = 'shared.outbox'::regclass
   AND to_jsonb(r) ->> 'prqual' IS NULL AND to_jsonb(r) ->> 'prattrs' IS NULL
   AND (SELECT count(*) = 1 FROM pg_publication_tables t WHERE t.pubname = p.pubname))

-- at: mark.go Relay.advance
-- args: mark(), '0/2F277A8', published()
UPDATE shared.relay_mark SET mark = greatest(mark, $1::xid8), lsn = greatest(lsn, $2::pg_lsn), at = clock_timestamp(),
	snapshot = CASE WHEN pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax($3::text::pg_snapshot) THEN $3::text::pg_snapshot ELSE snapshot END
WHERE mark < $1::xid8 OR lsn < $2::pg_lsn OR pg_snapshot_xmax(snapshot) < pg_snapshot_xmax($3::text::pg_snapshot)

-- at: mark.go Relay.breaksOff
UPDATE shared.relay_mark SET slot = '' WHERE slot <> ''

-- at: mark.go Relay.carriesOn
-- args: 'a_slot', '16694:726:16695:726', '0/2EBA908'
UPDATE shared.relay_mark SET slot = $1, publication = $2, lsn = $3::pg_lsn

-- at: mark.go Relay.horizon
SELECT mark, slot, lsn::text, publication, at, m.system, m.timeline, server.system, server.timeline, pg_postmaster_start_time(),
	       pg_snapshot_xmin(now.snapshot), pg_snapshot_xmax(now.snapshot), m.snapshot::text, now.snapshot::text
	FROM shared.relay_mark AS m, (SELECT pg_current_snapshot() AS snapshot) AS now,
(SELECT system_identifier::text AS system, ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint AS timeline
 FROM pg_control_system()) AS server

-- at: mark.go begunSQL
-- args: mark(), '00000000-0000-0000-0000-000000000000', xid(9990), '{}', '500'
SELECT xid, id, strategy, name, part, body FROM shared.outbox
WHERE (xid, id) > ($1::xid8, $2::uuid) AND xid < $3::xid8 AND NOT xid = ANY ($4::text[]::xid8[]) ORDER BY xid, id LIMIT $5

-- at: mark.go endedSQL
-- args: xid(9990), id(9990), ARRAY[xid(9900)::text, xid(9990)::text, xid(9995)::text], '500'
SELECT f.* FROM unnest($3::text[]::xid8[]) AS ended(xid) CROSS JOIN LATERAL (
	SELECT o.xid, o.id, strategy, name, part, body FROM shared.outbox AS o
	WHERE o.xid = ended.xid
	  AND o.id > CASE WHEN ended.xid = $1::xid8 THEN $2::uuid ELSE '00000000-0000-0000-0000-000000000000' END
	ORDER BY o.xid, o.id LIMIT $4) AS f
WHERE ended.xid >= $1::xid8 ORDER BY f.xid, f.id LIMIT $4

-- at: polling.go youngerSQL
-- args: mark()
SELECT coalesce((SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) >= $1::xid8, false)

-- at: publication.go Relay.ensurePublication
UPDATE shared.relay_mark SET slot = ''

-- at: publication.go Relay.publication
SELECT coalesce(
(SELECT p.oid || ':' || p.xmin || ':' || r.oid || ':' || r.xmin
 FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
 WHERE p.pubname = 'holdfast_outbox' AND p.pubinsert AND p.pubviaroot AND r.prrelid = 'shared.outbox'::regclass
   AND to_jsonb(r) ->> 'prqual' IS NULL AND to_jsonb(r) ->> 'prattrs' IS NULL
   AND (SELECT count(*) = 1 FROM pg_publication_tables t WHERE t.pubname = p.pubname)), '')

-- at: published.go Relay.published
-- args: mark(), published()
UPDATE shared.relay_mark SET mark = greatest(mark, $1::xid8), snapshot = $2::text::pg_snapshot, at = clock_timestamp()

-- at: ring.go Relay.ringOn
-- args: 'a_slot'
SELECT pg_notify($1, '')

-- at: server.go Relay.countAnew
-- args: mark(), '5000'
-- allow scan: once, when another server has taken over: all that is kept is written anew
-- allow filter: the same
-- allow growth: the same
UPDATE shared.outbox SET xid = pg_current_xact_id() WHERE (id, at) IN (
SELECT id, at FROM shared.outbox WHERE xid < $1::xid8 OR xid > pg_current_xact_id() LIMIT $2)

-- at: server.go Relay.countAnew
-- args: '1:1:'
-- allow scan: once, when another server has taken over: all that is kept is written anew
-- allow filter: the same
-- allow growth: the same
UPDATE shared.relay_mark SET mark = pg_snapshot_xmin(pg_current_snapshot())::text::xid8, slot = '', lsn = '0/0',
snapshot = $1::text::pg_snapshot RETURNING mark

-- at: server.go Relay.recognise
-- args: '7713872726060019444', '1', '1:1:'
UPDATE shared.relay_mark SET system = $1, timeline = $2, slot = '', lsn = '0/0', snapshot = $3::text::pg_snapshot

-- at: slot.go Relay.dropSlot
-- args: 'a_slot'
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1

-- at: slot.go Relay.inspectSlot
-- args: 'a_slot'
SELECT active, wal_status IS NOT DISTINCT FROM 'lost', coalesce(confirmed_flush_lsn, '0/0')::text
FROM pg_replication_slots WHERE slot_name = $1

-- at: slot.go Relay.reads
-- args: 'a_slot', '18215'
SELECT EXISTS (SELECT FROM pg_replication_slots WHERE slot_name = $1 AND active_pid = $2)

-- at: status.go Relay.slots
-- args: 'a_slot'
SELECT slot_name, active, coalesce(wal_status, ''), coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::int8, safe_wal_size
FROM pg_replication_slots WHERE slot_name = $1 OR NOT active ORDER BY slot_name = $1 DESC, 4 DESC LIMIT 101

-- at: status.go waitingSQL
SELECT (SELECT mark FROM shared.relay_mark), count(*), coalesce(sum(octet_length(body)), 0),
       coalesce(extract(epoch FROM clock_timestamp() - min(at)), 0)::float8
FROM (SELECT body, at FROM (
		SELECT body, at FROM shared.outbox
		WHERE xid >= (SELECT greatest(mark, pg_snapshot_xmax(snapshot)) FROM shared.relay_mark)
		  AND xid <= (SELECT pg_snapshot_xmax(pg_current_snapshot())) ORDER BY xid, id LIMIT 100000) AS begun
	UNION ALL SELECT body, at FROM (
		SELECT body, at FROM (SELECT xid FROM shared.relay_mark, pg_snapshot_xip(snapshot) AS xid WHERE xid >= mark) AS open
		JOIN shared.outbox USING (xid) LIMIT 100000) AS ended) AS waiting

-- at: stream.go stream.create
-- allow plan: it makes a slot, and reads no table
-- allow unsent: it goes over a connection of replication, which nobody traces
SELECT lsn FROM pg_create_logical_replication_slot('a_slot', 'pgoutput')

-- at: visible.go sight.look
SELECT pg_current_snapshot()::text
