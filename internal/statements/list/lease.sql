-- at: held.go List
SELECT name, holder, term, expires_at, expires_at > clock_timestamp() AS live FROM shared.leases ORDER BY name

-- at: lease.go Fence
-- args: 'work', 'a', '1'
SELECT true FROM shared.leases WHERE name = $1 AND holder = $2 AND term = $3 FOR KEY SHARE

-- at: lease.go Lease.giveBack
-- args: 'work', 'c', '1'
UPDATE shared.leases SET expires_at = clock_timestamp() WHERE name = $1 AND holder = $2 AND term = $3

-- at: lease.go Lease.prolong
-- args: 'work', 'a', '1', '2000 ms'
UPDATE shared.leases SET expires_at = clock_timestamp() + $4 WHERE name = $1 AND holder = $2 AND term = $3

-- at: lease.go Lease.take
-- args: 'work', 'a', '2000 ms'
INSERT INTO shared.leases AS l (name, holder, term, expires_at) VALUES ($1, $2, 1, clock_timestamp() + $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
WHERE l.expires_at <= clock_timestamp() OR l.expires_at > clock_timestamp() + $3 * 10
RETURNING term

-- at: seize.go Lease.Seize
-- args: 'work', 'a', '2000 ms'
INSERT INTO shared.leases AS l (name, holder, term, expires_at) VALUES ($1, $2, 1, clock_timestamp() + $3)
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, term = l.term + 1, expires_at = excluded.expires_at
RETURNING term
