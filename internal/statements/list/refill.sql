-- at: http.go Refiller.Ask
-- args: '{"inventory"}'
INSERT INTO shared.refills (module, asked_at) SELECT module, clock_timestamp() FROM unnest($1::text[]) AS m(module)
ON CONFLICT (module) DO UPDATE SET asked_at = excluded.asked_at

-- at: http.go Refiller.Status
-- args: '{"inventory", "payment"}'
SELECT m.module, coalesce(f.mark, '0'), f.asked_at, f.refilled_at, coalesce(f.facts, 0)
FROM unnest($1::text[]) AS m(module) LEFT JOIN shared.refills f USING (module) ORDER BY m.module

-- at: lead.go Refiller.afterPutBack
-- args: '{"inventory", "payment"}'
UPDATE shared.refills SET asked_at = least(asked_at, clock_timestamp()), refilled_at = least(refilled_at, clock_timestamp())
WHERE module = ANY ($1)

-- at: lead.go Refiller.note
-- args: 'inventory', '4056', '9', 'true', now()
INSERT INTO shared.refills AS f (module, mark, facts, refilled_at) VALUES ($1, $2::xid8, $3::bigint, CASE WHEN $3::bigint > 0 THEN clock_timestamp() END)
ON CONFLICT (module) DO UPDATE SET mark = greatest(f.mark, excluded.mark), facts = f.facts + excluded.facts,
	refilled_at = coalesce(excluded.refilled_at, f.refilled_at),
	asked_at = CASE WHEN $4 AND f.asked_at = $5 THEN NULL ELSE f.asked_at END

-- at: lead.go statesSQL
-- args: '{"inventory", "payment"}'
SELECT m.module, coalesce(f.mark, '0'), f.asked_at, f.refilled_at, clock_timestamp(), k.mark, k.at,
	coalesce((SELECT xid FROM shared.outbox ORDER BY xid DESC LIMIT 1) < greatest(k.mark, pg_snapshot_xmax(k.snapshot)), true)
	AND NOT EXISTS (SELECT FROM pg_snapshot_xip(k.snapshot) AS open(xid) JOIN shared.outbox USING (xid) WHERE xid >= k.mark),
	k.snapshot::text
FROM unnest($1::text[]) AS m(module) LEFT JOIN shared.refills f USING (module), shared.relay_mark k ORDER BY m.module

-- at: pages.go Refiller.readOutbox
-- args: xid(9000), '00000000-0000-0000-0000-000000000000', mark(), published(), '2000'
SELECT id, at, octet_length(body), xid, strategy || '.' || name || CASE WHEN part <> '' THEN '.' || part ELSE '' END FROM shared.outbox
WHERE (xid, id) > ($1::xid8, $2::uuid) AND xid < greatest($3::xid8, pg_snapshot_xmax($4::text::pg_snapshot))
  AND (xid < $3::xid8 OR pg_visible_in_snapshot(xid, $4::text::pg_snapshot))
ORDER BY xid, id LIMIT $5

-- at: refill.go Refiller.tell
-- args: '{"payment"}'
-- allow filter: a thousand rows at most
SELECT EXISTS (SELECT FROM (SELECT module FROM shared.inbox ORDER BY fact_id DESC LIMIT 1000) AS last WHERE module = ANY($1))

-- at: scan.go Refiller.bodies
-- args: ids(9500, 10), array_fill(now(), '{10}')
SELECT o.body FROM unnest($1::uuid[], $2::timestamptz[]) WITH ORDINALITY AS g(id, at, n)
JOIN shared.outbox o ON o.id = g.id AND o.at = g.at ORDER BY g.n

-- at: scan.go Refiller.read
-- args: ids(9500, 10), 'inventory'
SELECT fact_id FROM shared.dead_letters WHERE fact_id = ANY ($1) AND module IN ($2, 'relay') AND replayed_at IS NULL
UNION ALL SELECT fact_id FROM shared.dead_letter_log WHERE fact_id = ANY ($1) AND module IN ($2, 'relay') AND action = 'delete'
UNION ALL SELECT fact_id FROM shared.waiting_facts WHERE fact_id = ANY ($1) AND module = $2

-- at: scan.go Refiller.read
-- args: ids(9500, 10), 'inventory'
SELECT fact_id FROM shared.inbox WHERE module = $2 AND fact_id = ANY ($1)
