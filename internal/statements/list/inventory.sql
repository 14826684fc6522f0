-- at: availability.go Service.Availability
-- args: id(9500)
SELECT available, allocated FROM inventory.stock WHERE product_id = $1

-- at: shelf_stock.go readTaken
-- args: ids(9500, 10), '500', 'reserve', '3600000 ms'
SELECT s.product_id, s.available, s.version, ARRAY(
	SELECT m.order_id FROM (
		SELECT order_id, kind, at FROM inventory.movements WHERE product_id = s.product_id ORDER BY id DESC LIMIT $2) m
	WHERE m.kind = $3 AND m.at > now() - $4::interval)
FROM inventory.stock s WHERE s.product_id = ANY ($1)

-- at: store.go claim
-- args: 'RESERVED', ids(9500, 10), ids(9500, 10)
INSERT INTO inventory.reservations (order_id, state, decided_by)
SELECT order_id, $1, fact_id FROM unnest($2::uuid[], $3::uuid[]) AS a(order_id, fact_id)
ORDER BY order_id
ON CONFLICT DO NOTHING
RETURNING order_id

-- at: store.go lockBooks
-- args: ids(9500, 10)
SELECT product_id, available, allocated, version FROM inventory.stock
WHERE product_id = ANY ($1) ORDER BY product_id FOR NO KEY UPDATE

-- at: store.go lockReserved
-- args: ids(9500, 10)
WITH held AS MATERIALIZED (
	SELECT order_id FROM inventory.reservations
	WHERE order_id = ANY ($1) AND state = 'RESERVED' ORDER BY order_id FOR NO KEY UPDATE
)
SELECT order_id, product_id, quantity FROM held JOIN inventory.reservation_lines USING (order_id)

-- at: store.go queueCuts
-- args: ids(9500, 10)
UPDATE inventory.products SET cut_at = now() WHERE id = ANY ($1)

-- at: store.go queueMovements
-- args: ids(9500, 10), ids(9500, 10), '{"opening"}', '{"5"}', '{"5"}', ids(9500, 10), ids(9500, 10), '{""}', '00000000-0000-0000-0000-000000000000'
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, reason)
SELECT product_id, id, kind, quantity, balance, nullif(order_id, $9), fact_id, reason
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::bigint[], $6::uuid[], $7::uuid[], $8::text[])
     AS m(product_id, id, kind, quantity, balance, order_id, fact_id, reason)

-- at: store.go queueReservations
-- args: ids(9500, 10), ids(9500, 10), '{"2"}'
INSERT INTO inventory.reservation_lines (order_id, product_id, quantity)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[])

-- at: store.go queueReservations
-- args: ids(9500, 10)
UPDATE inventory.reservations SET state = 'OUT_OF_STOCK' WHERE order_id = ANY ($1)

-- at: store.go queueReservations
-- args: ids(9500, 10), ids(9500, 10)
UPDATE inventory.reservations r SET state = 'RELEASED', released_by = a.fact_id, released_at = now()
FROM unnest($1::uuid[], $2::uuid[]) AS a(order_id, fact_id) WHERE r.order_id = a.order_id

-- at: store.go queueStock
-- args: ids(9500, 10), '{"1"}', '{"5"}', '{"0"}', '{"2"}'
UPDATE inventory.stock s SET available = n.available, allocated = n.allocated, version = n.version, changed_at = now()
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) AS n(product_id, was, available, allocated, version)
WHERE s.product_id = n.product_id AND s.version = n.was

-- at: store_catalogue.go changeProduct
-- args: id(9500), '', 'New name', 'd', '9', 'EUR', '{"1"}', 'false'
UPDATE inventory.products SET sku = coalesce(nullif($2, ''), sku), name = $3, description = CASE WHEN $8 THEN description ELSE $4 END, unit_price_minor = $5, currency = $6,
       version = version + 1, changed_at = now()
WHERE id = $1 AND ($7::bigint[] IS NULL OR version = ANY ($7)) RETURNING id, sku, name, description, unit_price_minor, currency, version, cut_at

-- at: store_catalogue.go openStock
-- args: ids(9500, 10)
INSERT INTO inventory.stock (product_id, available, allocated)
SELECT id, 0, 0 FROM unnest($1::uuid[]) AS n(id) ORDER BY id

-- at: store_catalogue.go readBooks
-- args: ids(9500, 10), '00000000-0000-0000-0000-000000000000'
SELECT order_id, $2 FROM inventory.reservations WHERE order_id = ANY ($1) AND state <> 'GATHERING'
UNION ALL
SELECT order_id, l.product_id FROM inventory.reservations r JOIN inventory.reservation_lines l USING (order_id)
WHERE order_id = ANY ($1) AND r.state = 'GATHERING'

-- at: store_catalogue.go readBooks
-- args: ids(9500, 10)
SELECT product_id, available, version FROM inventory.stock WHERE product_id = ANY ($1)

-- at: store_catalogue.go readCarried
-- args: id(9500)
SELECT movements, taken FROM inventory.carried WHERE product_id = $1

-- at: store_catalogue.go readMovements
-- args: id(9500), '00000000-0000-0000-0000-000000000000', '00000000-0000-0000-0000-000000000000', '3'
SELECT id, product_id, kind, quantity, balance, coalesce(order_id, $3), fact_id, reason, at FROM inventory.movements
WHERE product_id = $1 AND ($2 = $3 OR id < $2) ORDER BY id DESC LIMIT $4

-- at: store_catalogue.go selectProducts
-- args: id(9500)
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE id = $1

-- at: store_catalogue.go selectProducts
-- args: ids(9500, 10)
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE id = ANY ($1)

-- at: store_catalogue.go selectProducts
-- args: 'b-2'
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE sku = $1

-- at: store_catalogue.go selectProducts
-- args: '{"5f3ddb0f-0000", "1d19a04a-0001"}'
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE sku = ANY ($1) ORDER BY sku

-- at: store_catalogue.go selectProducts
-- args: '{"b", "a", "c"}'
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE sku = ANY ($1) ORDER BY sku FOR UPDATE

-- at: store_catalogue.go selectProducts
-- args: '', '200'
SELECT id, sku, name, description, unit_price_minor, currency, version, cut_at FROM inventory.products WHERE sku > $1 ORDER BY sku LIMIT $2

-- at: store_catalogue.go upsertProducts
-- args: ids(9500, 10), '{"103a0e05-4b4d-454e-ac3c-b9142c0f93f6"}', '{"Tea"}', '{""}', '{"250"}', '{"GBP"}'
INSERT INTO inventory.products AS p (id, sku, name, description, unit_price_minor, currency)
SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[])
     AS n(id, sku, name, description, unit_price_minor, currency)
ORDER BY sku
ON CONFLICT (sku) DO UPDATE
SET name = excluded.name, description = excluded.description, unit_price_minor = excluded.unit_price_minor,
    currency = excluded.currency, version = p.version + 1, changed_at = now()
WHERE (p.name, p.description, p.unit_price_minor, p.currency)
      IS DISTINCT FROM (excluded.name, excluded.description, excluded.unit_price_minor, excluded.currency)

-- at: store_lanes.go claimGathering
-- args: ids(9500, 10), ids(9500, 10), '{"2", "2", "2"}'
INSERT INTO inventory.reservations (order_id, state, decided_by, lanes, open)
SELECT order_id, 'GATHERING', fact_id, lanes, lanes FROM unnest($1::uuid[], $2::uuid[], $3::smallint[]) AS a(order_id, fact_id, lanes)
ORDER BY order_id
ON CONFLICT DO NOTHING
RETURNING order_id

-- at: store_lanes.go laneLines
-- args: ids(9500, 10)
SELECT l.order_id, l.lane, l.product_id, l.quantity, s.available, s.version
FROM inventory.reservation_lines l JOIN inventory.stock s USING (product_id) WHERE l.order_id = ANY ($1)

-- at: store_lanes.go lockGatherings
-- args: ids(9500, 10), '00000000-0000-0000-0000-000000000000'
SELECT order_id, state, coalesce(released_by, $2), open, taken, short FROM inventory.reservations
WHERE order_id = ANY ($1) ORDER BY order_id FOR NO KEY UPDATE

-- at: store_lanes.go queueLaneLines
-- args: ids(9500, 10), ids(9500, 10), '{"1", "1", "1"}', '{"0", "1", "0"}'
INSERT INTO inventory.reservation_lines (order_id, product_id, quantity, lane)
SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::smallint[])

-- at: store_lanes.go returnLines
-- args: ids(9500, 10), '{"0", "3"}'
UPDATE inventory.reservation_lines l SET returned = true
FROM unnest($1::uuid[], $2::smallint[]) AS a(order_id, lane)
WHERE l.order_id = a.order_id AND l.lane = a.lane AND NOT l.returned
RETURNING l.order_id, l.lane, l.product_id, l.quantity

-- at: store_lanes.go saveGatherings
-- args: ids(9500, 10), '{"RELEASED"}', ids(9500, 10), '{"0"}', '{"0"}', '{NULL}', '00000000-0000-0000-0000-000000000000'
UPDATE inventory.reservations r SET state = n.state, open = n.open, taken = n.taken, short = n.short::jsonb, released_by = nullif(n.by, $7),
	released_at = CASE WHEN n.by <> $7 THEN coalesce(r.released_at, now()) END
FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::smallint[], $5::smallint[], $6::text[]) AS n(order_id, state, by, open, taken, short)
WHERE r.order_id = n.order_id
