-- Rows of the numbers from $1 to $2.
INSERT INTO inventory.products (id, sku, name, description, unit_price_minor, currency, created_at, changed_at)
    SELECT made.id(n), 'sku ' || n, 'Product ' || n, 'As good as any', 250, 'GBP', made.at(n), made.at(n) FROM generate_series($1, $2) n;
INSERT INTO inventory.stock (product_id, available, allocated, changed_at) SELECT made.id(n), 1000, 2, made.at(n) FROM generate_series($1, $2) n;
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, fact_id, at)
    SELECT made.id(n), made.id(n, 1), 'opening', 1000, 1000, made.id(n, 1), made.at(n) FROM generate_series($1, $2) n;
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, at)
    SELECT made.id(p), made.id(n, 2), 'reserve', -1, 999, made.id(n), made.id(n, 2), made.at(n)
    FROM generate_series($1, least($2, 9500)) n, unnest(ARRAY[n, made.second(n)]) p WHERE (n <= 0 OR n > 9000) AND made.outcome(n) <> 'short';
INSERT INTO inventory.movements (product_id, id, kind, quantity, balance, order_id, fact_id, at)
    SELECT made.id(p), made.id(n, 3), 'release', 1, 1000, made.id(n), made.id(n, 3), made.at(n)
    FROM generate_series($1, least($2, 0)) n, unnest(ARRAY[n, made.second(n)]) p WHERE made.outcome(n) = 'back';

INSERT INTO orders.orders (id, customer, strategy, hold_id, cart_id, status, payment_status, inventory_status, failure_reason, total_minor,
        currency, payment_method, version, last_fact, deadline, created_at, ended_at)
    SELECT made.id(n), made.customer(n), 'optimistic', made.id(n), CASE WHEN n <= 0 AND n % 5 <> -1 OR n > 9900 THEN made.id(n) END,
        CASE WHEN n > 9500 THEN 'CREATED' WHEN n > 0 THEN 'PROCESSING' WHEN made.outcome(n) = 'bought' THEN 'COMPLETED' WHEN made.outcome(n) = 'short' THEN 'FAILED' ELSE 'CANCELLED' END,
        CASE WHEN n > 9500 THEN 'NOT_STARTED' WHEN n > 0 THEN 'PENDING' WHEN made.outcome(n) = 'bought' THEN 'SUCCESS' WHEN made.outcome(n) = 'short' THEN 'VOIDED' ELSE 'REFUNDED' END,
        CASE WHEN n > 9500 THEN 'NOT_STARTED' WHEN n > 0 OR made.outcome(n) = 'bought' THEN 'RESERVED' WHEN made.outcome(n) = 'short' THEN 'OUT_OF_STOCK' ELSE 'RELEASED' END,
        CASE WHEN n <= 0 AND made.outcome(n) = 'short' THEN 'OUT_OF_STOCK' END, 500, 'GBP', 'card', CASE WHEN n > 9500 THEN 1 ELSE 4 END,
        CASE WHEN n <= 9500 THEN made.id(n) END, made.at(n) + interval '15 min', made.at(n), CASE WHEN n <= 0 THEN made.at(n) + interval '2 s' END
    FROM generate_series($1, $2) n WHERE n <= 0 OR n > 9000;
INSERT INTO orders.lines (order_id, product_id, sku, name, quantity, unit_price_minor)
    SELECT made.id(n), made.id(p), 'sku ' || p, 'Product ' || p, 1, 250
    FROM generate_series($1, $2) n, unnest(ARRAY[n, made.second(n)]) p WHERE n <= 0 OR n > 9000;
INSERT INTO orders.view (id, customer, strategy, version, status, payment_status, inventory_status, display_status, failure_reason, lines, total_minor,
        currency, last_fact, created_at, ended_at)
    SELECT o.id, customer, strategy, version, status, payment_status, inventory_status, CASE WHEN ended_at IS NULL THEN 'PROCESSING' ELSE 'COMPLETED' END,
        failure_reason, '[{"sku": "a sku", "name": "A product", "quantity": 1, "unit_price_minor": 250}]', total_minor, currency, last_fact, created_at, ended_at
    FROM generate_series($1, $2) n JOIN orders.orders o ON o.id = made.id(n) ORDER BY n;
INSERT INTO orders.idempotency_keys (customer, key, fingerprint, order_id, created_at, expires_at)
    SELECT made.customer(n), 'key ' || n, decode(repeat('00', 32), 'hex'), made.id(n), made.at(n), made.at(n) + interval '1 day'
    FROM generate_series($1, $2) n WHERE n <= 0 OR n > 9000;
INSERT INTO inventory.reservations (order_id, state, decided_by, released_by, decided_at, released_at)
    SELECT made.id(n), CASE made.outcome(n) WHEN 'bought' THEN 'RESERVED' WHEN 'short' THEN 'OUT_OF_STOCK' ELSE 'RELEASED' END, made.id(n, 2),
        CASE made.outcome(n) WHEN 'back' THEN made.id(n, 3) END, made.at(n), CASE made.outcome(n) WHEN 'back' THEN made.at(n) END
    FROM generate_series($1, least($2, 9500)) n WHERE n <= 0 OR n > 9000;
INSERT INTO inventory.reservation_lines (order_id, product_id, quantity)
    SELECT made.id(n), made.id(p), 1 FROM generate_series($1, least($2, 9500)) n, unnest(ARRAY[n, made.second(n)]) p
    WHERE (n <= 0 OR n > 9000) AND made.outcome(n) <> 'short';

INSERT INTO cart.carts (id, customer, state, version, turn, order_id, first_line_at, expires_at, tidied, created_at, changed_at)
    SELECT made.id(n), CASE WHEN s = 'OPEN' THEN 'cart ' || n ELSE made.customer(n) END, s, 3, 4, CASE WHEN s = 'BOUGHT' THEN made.id(n) END,
        made.at(n), made.at(n) + interval '30 min', CASE WHEN s = 'OPEN' OR n > 9900 THEN 0 WHEN n > 0 THEN 1 ELSE 2 END, made.at(n), made.at(n)
    FROM generate_series($1, $2) n,
        LATERAL (SELECT CASE WHEN n > 9900 THEN 'BOUGHT' WHEN n > 0 THEN 'OPEN' WHEN n % 10 = -1 THEN 'DROPPED' WHEN n % 10 = -6 THEN 'OPEN' ELSE 'BOUGHT' END) AS state (s);
INSERT INTO cart.lines (cart_id, product_id, quantity, unit_price_minor, currency, held, added_at)
    SELECT made.id(n), made.id(p), 1, 250, 'GBP', true, made.at(n)
    FROM generate_series($1, $2) n, unnest(ARRAY[n, made.second(n)]) p WHERE n > 0 OR n % 10 = -6;

INSERT INTO payment.payments (order_id, state, strategy, amount_minor, currency, payment_method, charge_key, refund_key, charge_id, refund_id, cause, undo_cause,
        attempted_at, refund_attempted_at, due_at, claim, created_at, changed_at, provider, account)
    SELECT made.id(n), s, 'optimistic', 500, 'GBP', 'card', 'charge-' || made.id(n)::text, 'refund-' || made.id(n)::text,
        CASE WHEN s IN ('SUCCESS', 'REFUNDED', 'REFUNDING') THEN 'charge ' || n END, CASE WHEN s = 'REFUNDED' THEN 'refund ' || n END, made.id(n),
        CASE WHEN s IN ('VOIDED', 'REFUNDED', 'REFUNDING') THEN made.id(n) END, CASE WHEN s <> 'PENDING' THEN made.at(n) END,
        CASE WHEN s = 'REFUNDED' THEN made.at(n) END, CASE WHEN s IN ('PENDING', 'UNKNOWN', 'REFUNDING') THEN made.at(n) END, 1, made.at(n), made.at(n),
        CASE WHEN s <> 'PENDING' THEN 'sandbox' ELSE '' END, CASE WHEN s <> 'PENDING' THEN 'ours' ELSE '' END
    FROM generate_series($1, $2) n,
        LATERAL (SELECT CASE WHEN n > 9600 THEN 'PENDING' WHEN n > 9500 THEN 'UNKNOWN' WHEN n > 9400 THEN 'REFUNDING' WHEN made.outcome(n) = 'bought' THEN 'SUCCESS'
            WHEN made.outcome(n) = 'short' THEN 'VOIDED' ELSE 'REFUNDED' END) AS state (s) WHERE n <= 0 OR n > 9000;
INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at, provider, account)
    SELECT charge_id, order_id, 'charge', 'customer', 'provider', 500, 'GBP', cause, created_at, provider, account
    FROM generate_series($1, $2) n JOIN payment.payments ON order_id = made.id(n) WHERE charge_id IS NOT NULL ORDER BY n;
INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at, provider, account)
    SELECT refund_id, order_id, 'refund', 'provider', 'refunds', 500, 'GBP', cause, created_at, provider, account
    FROM generate_series($1, $2) n JOIN payment.payments ON order_id = made.id(n) WHERE refund_id IS NOT NULL ORDER BY n;
INSERT INTO payment.attempts (order_id, claim, n, call, verdict, ms, at)
    SELECT made.id(n), 1, 1, 'charge', 'succeeded', 30, made.at(n) FROM generate_series($1, $2) n WHERE n <= 0 OR n > 9000;
INSERT INTO payment.acts (id, order_id, act, by, state, at)
    SELECT made.id(n), made.id(n), 'retry', 'an operator', 'SUCCESS', made.at(n) FROM generate_series($1, $2) n WHERE n % 4 = 0;
INSERT INTO payment.orphans (provider_id, provider, account, kind, found, order_id, key, amount_minor, currency, found_at, due_at, refund_id, refunded_at)
    SELECT 'orphan ' || n, 'sandbox', 'ours', 'charge', 'stray', 'order ' || n, 'key ' || n, 500, 'GBP', made.at(n), CASE WHEN n > 9990 THEN made.at(n) END,
        CASE WHEN n <= 9990 THEN 'given back ' || n END, CASE WHEN n <= 9990 THEN made.at(n) END
    FROM generate_series($1, $2) n WHERE n % 4 = 0 OR n > 9990;
INSERT INTO payment.orphan_acts (id, provider_id, act, by, reason, result, at)
    SELECT made.id(n), 'orphan ' || n, CASE WHEN n % 8 = 0 THEN 'settle' ELSE 'refund' END, 'an operator', 'by hand', 'done', made.at(n) FROM generate_series($1, $2) n WHERE n % 4 = 0;
INSERT INTO payment.failed_refunds (refund_id, provider, account, charge_id, order_id, effect, amount_minor, currency, failed_at, told_at)
    SELECT 'failed ' || n, 'sandbox', 'ours', 'charge ' || n, made.id(n), 'owed again', 500, 'GBP', made.at(n), made.at(n) FROM generate_series($1, $2) n WHERE n % 4 = 0;
INSERT INTO payment.disputes (dispute_id, provider, account, charge_id, order_id, amount_minor, currency, status, over, funds, as_of, told_at)
    SELECT 'dispute ' || n, 'sandbox', 'ours', 'charge ' || n, made.id(n), 500, 'GBP', 'lost', n <= 9900, 'withdrawn', made.at(n), made.at(n)
    FROM generate_series($1, $2) n WHERE n % 4 = 0;

INSERT INTO shared.outbox (id, at, xid, name, strategy, order_id, cause, body)
    SELECT made.id(n), made.at(n), made.xid(n), 'order.created', 'optimistic', made.id(n), made.id(n), decode(repeat('20', 200), 'hex') FROM generate_series($1, $2) n;
INSERT INTO shared.inbox (module, fact_id, name, order_id, at)
    SELECT m, made.id(n), 'order.created', made.id(n), made.at(n) FROM generate_series($1, least($2, 9900)) n, unnest(ARRAY['order', 'inventory']) m;
INSERT INTO shared.dead_letters (id, module, fact_id, name, routing_key, reason, attempts, body, at, replayed_at, replayed_by, order_id)
    SELECT made.id(n), 'inventory', made.id(n), 'order.created', 'optimistic.order.created', 'exhausted', 8, '\x7b7d', made.at(n),
        CASE WHEN n <= 9900 THEN made.at(n) END, CASE WHEN n <= 9900 THEN 'an operator' END, made.id(n) FROM generate_series($1, $2) n WHERE n % 2 = 0;
INSERT INTO shared.dead_letter_log (id, letter_id, module, fact_id, name, action, by, result, at, order_id)
    SELECT made.id(n), made.id(n), 'inventory', made.id(n), 'order.created', CASE WHEN n % 4 = 0 THEN 'delete' ELSE 'replay' END, 'an operator',
        CASE WHEN n % 4 = 0 THEN 'deleted' ELSE 'sent' END, made.at(n), made.id(n) FROM generate_series($1, least($2, 9900)) n WHERE n % 2 = 0;
INSERT INTO shared.reconciliations (id, scope, everything, dry_run, term, started_at, ended_at)
    SELECT made.id(n), CASE WHEN n % 100 = 0 THEN 'full' ELSE 'delta' END, n % 100 = 0, false, 1, made.at(n), made.at(n) FROM generate_series($1, $2) n WHERE n % 2 = 0;
INSERT INTO shared.reconciliation_differences (run_id, n, pair, key, redis, postgres, action, at)
    SELECT made.id(n), 1, 'stock', 'stock:{' || made.id(n)::text || '}', '1', '2', 'repaired', made.at(n) FROM generate_series($1, $2) n WHERE n % 2 = 0;

-- As many orders as were made have gone to the archive before.
INSERT INTO orders.archived (id, customer, month) SELECT made.id(n, 7), made.customer(n), '2020-01-01' FROM generate_series($1, least($2, 0)) n;
INSERT INTO payment.archived (order_id, month, state, amount_minor, currency, charge_id, refund_id, provider, account)
    SELECT made.id(n, 7), '2020-01-01', 'SUCCESS', 500, 'GBP', 'archived ' || n, NULL, 'sandbox', 'ours' FROM generate_series($1, least($2, 0)) n;
INSERT INTO archive.orders (id, month, customer, view, rows)
    SELECT made.id(n, 7), '2020-01-01', made.customer(n), '{"status": "COMPLETED"}', '{"orders.lines": []}' FROM generate_series($1, least($2, 0)) n;
INSERT INTO inventory.carried (product_id, taken, movements, chain) SELECT made.id(n), 1, 1, 1 FROM generate_series($1, $2) n WHERE n % 4 = 0;
