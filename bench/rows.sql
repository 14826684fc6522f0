-- The steps that touch order lines, with a statement for each line, as they are written where nobody thought of sets. What
-- stands between "-- each" and "-- end" is repeated by the runner for each line, with {i} for its number.

-- step: basket
SELECT
-- each
       b.products[{i}] AS p_{i}, b.skus[{i}] AS s_{i}, b.names[{i}] AS m_{i}, b.quantities[{i}] AS q_{i}, b.prices[{i}] AS u_{i}, i.movements[{i}] AS id_{i},
-- end
       i.order_id, i.key, i.f_created, i.f_reserved, i.f_processed, i.f_updated, i.f_completed,
       b.customer, b.print, b.total, b.lines,
       b.created_body, b.reserved_body, b.processed_body, b.updated_body, b.completed_body
FROM bench.orders i JOIN bench.baskets b ON b.n = i.basket WHERE i.n = :n
\gset

-- step: catalogue
-- each
SELECT id, sku, name, description, unit_price_minor, currency, version FROM inventory.products WHERE id = :p_{i}::uuid;
-- end

-- step: place
BEGIN;
INSERT INTO orders.orders (id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status,
	total_minor, currency, payment_method, deadline, created_at)
VALUES (:order_id, :customer, :strategy, :order_id, NULL, 'CREATED', 'NOT_STARTED', 'NOT_STARTED',
	:total, 'GBP', 'pm_ok', now() + interval '15 minutes', now());
INSERT INTO orders.idempotency_keys AS k (customer, key, fingerprint, order_id, expires_at)
VALUES (:customer, :key, :print::bytea, :order_id, now() + interval '24 hours')
ON CONFLICT (customer, key) DO UPDATE SET fingerprint = excluded.fingerprint, order_id = excluded.order_id,
	created_at = now(), expires_at = excluded.expires_at
WHERE k.expires_at < now();
-- each
INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor) VALUES (:order_id, :p_{i}, :s_{i}, :m_{i}, :q_{i}, :u_{i});
-- end
INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status,
	lines, total_minor, currency, created_at)
VALUES (:order_id, :customer, :strategy, 1, 'CREATED', 'NOT_STARTED', 'NOT_STARTED', 'PROCESSING', :lines, :total, 'GBP', now());
INSERT INTO shared.outbox (id, name, strategy, order_id, body)
VALUES (:f_created, 'order.created', :strategy, :order_id, convert_to(:created_body::text, 'UTF8'));
COMMIT;

-- step: reserve
BEGIN;
INSERT INTO shared.inbox (module, fact_id, name, order_id) VALUES ('inventory', :f_created, 'order.created', :order_id)
ON CONFLICT DO NOTHING RETURNING fact_id;
INSERT INTO inventory.reservations (order_id, state, decided_by) VALUES (:order_id, 'RESERVED', :f_created)
ON CONFLICT DO NOTHING RETURNING order_id;
-- each
UPDATE inventory.stock SET available = available - :q_{i}::bigint, allocated = allocated + :q_{i}::bigint, version = version + 1, changed_at = now()
WHERE product_id = :p_{i}::uuid AND available >= :q_{i}::bigint RETURNING available AS balance
\gset
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, reason)
VALUES (:p_{i}, :id_{i}, 'reserve', -:q_{i}::bigint, :balance, :order_id, :f_created, '');
INSERT INTO inventory.reservation_lines (order_id, product_id, quantity) VALUES (:order_id, :p_{i}, :q_{i});
-- end
INSERT INTO shared.outbox (id, name, strategy, order_id, cause, body)
VALUES (:f_reserved, 'stock.reserved', :strategy, :order_id, :f_created, convert_to(:reserved_body::text, 'UTF8'));
COMMIT;
