-- The steps that touch order lines, set-based: one statement for all lines, as the engine does it.

-- step: basket
SELECT i.order_id, i.key, i.f_created, i.f_reserved, i.f_processed, i.f_updated, i.f_completed, i.movements,
       b.customer, b.print, b.products, b.skus, b.names, b.quantities, b.prices, b.total, b.lines,
       b.created_body, b.reserved_body, b.processed_body, b.updated_body, b.completed_body
FROM bench.orders i JOIN bench.baskets b ON b.n = i.basket WHERE i.n = :n
\gset

-- step: catalogue
SELECT id, sku, name, description, unit_price_minor, currency, version FROM inventory.products WHERE id = ANY(:products::uuid[]);

-- step: place
BEGIN;
\startpipeline
INSERT INTO orders.orders (id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status,
	total_minor, currency, payment_method, deadline, created_at)
VALUES (:order_id, :customer, :strategy, :order_id, NULL, 'CREATED', 'NOT_STARTED', 'NOT_STARTED',
	:total, 'GBP', 'pm_ok', now() + interval '15 minutes', now());
INSERT INTO orders.idempotency_keys AS k (customer, key, fingerprint, order_id, expires_at)
VALUES (:customer, :key, :print::bytea, :order_id, now() + interval '24 hours')
ON CONFLICT (customer, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
	created_at = now(), expires_at = excluded.expires_at
WHERE k.expires_at < now();
INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor)
SELECT :order_id::uuid, * FROM unnest(:products::uuid[], :skus::text[], :names::text[], :quantities::bigint[], :prices::bigint[]);
INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status,
	lines, total_minor, currency, created_at)
VALUES (:order_id, :customer, :strategy, 1, 'CREATED', 'NOT_STARTED', 'NOT_STARTED', 'PROCESSING', :lines, :total, 'GBP', now());
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
SELECT id, name, strategy, order_id, cause, body
FROM unnest(ARRAY[:f_created::uuid], ARRAY['order.created'], ARRAY[:strategy::text], ARRAY[:order_id::uuid], ARRAY[NULL::uuid],
            ARRAY[convert_to(:created_body::text, 'UTF8')]) AS f(id, name, strategy, order_id, cause, body);
\endpipeline
COMMIT;

-- step: reserve
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id)
SELECT 'inventory', id, name, nullif(order_id, '00000000-0000-0000-0000-000000000000')
FROM unnest(ARRAY[:f_created::uuid], ARRAY['order.created'], ARRAY[:order_id::uuid]) AS f(id, name, order_id)
ORDER BY id ON CONFLICT DO NOTHING RETURNING fact_id;
INSERT INTO inventory.reservations (order_id, state, decided_by)
SELECT order_id, 'RESERVED', fact_id FROM unnest(ARRAY[:order_id::uuid], ARRAY[:f_created::uuid]) AS a(order_id, fact_id)
ORDER BY order_id ON CONFLICT DO NOTHING RETURNING order_id;
SELECT array_agg(available) AS available, array_agg(allocated) AS allocated, array_agg(version) AS version FROM (
	SELECT product_id, available, allocated, version FROM inventory.stock
	WHERE product_id = ANY(:products::uuid[]) ORDER BY product_id FOR NO KEY UPDATE) AS locked
\gset
\startpipeline
UPDATE inventory.stock s SET available = n.available - n.quantity, allocated = n.allocated + n.quantity, version = n.was + 1, changed_at = now()
FROM unnest(:products::uuid[], :version::bigint[], :available::bigint[], :allocated::bigint[], :quantities::bigint[])
     AS n(product_id, was, available, allocated, quantity)
WHERE s.product_id = n.product_id AND s.version = n.was;
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, reason)
SELECT product_id, id, 'reserve', -quantity, available - quantity, :order_id::uuid, :f_created::uuid, ''
FROM unnest(:products::uuid[], :movements::uuid[], :available::bigint[], :quantities::bigint[]) AS m(product_id, id, available, quantity);
INSERT INTO inventory.reservation_lines (order_id, product_id, quantity)
SELECT :order_id::uuid, * FROM unnest(:products::uuid[], :quantities::bigint[]);
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
SELECT id, name, strategy, order_id, cause, body
FROM unnest(ARRAY[:f_reserved::uuid], ARRAY['stock.reserved'], ARRAY[:strategy::text], ARRAY[:order_id::uuid], ARRAY[:f_created::uuid],
            ARRAY[convert_to(:reserved_body::text, 'UTF8')]) AS f(id, name, strategy, order_id, cause, body);
\endpipeline
COMMIT;
