-- What all generated rows are numbered by: 10000 is now, and each number less lies 0.3 s before. Up to 0 all is finished; the orders
-- from 9001 to 10000 are under way, and the carts from 1 to 9900 open. The same number gives the ids of an order, its cart, product, fact and
-- payment. Product 9500 is in every fourth order and cart, and alice made every tenth order.
CREATE SCHEMA made;
-- Of functions that are immutable throughout, so that they become a part of what asks them.
DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION made.ms(n int) RETURNS bigint IMMUTABLE LANGUAGE sql AS $f$ SELECT %s + (n - 10000) * 300::bigint $f$',
        (extract(epoch FROM date_trunc('second', now())) * 1000)::bigint);
END $$;
CREATE FUNCTION made.at(n int) RETURNS timestamptz IMMUTABLE LANGUAGE sql AS $$ SELECT to_timestamp(made.ms(n) / 1000.0::float8) $$;
CREATE FUNCTION made.id(n int, k int DEFAULT 0) RETURNS uuid IMMUTABLE LANGUAGE sql AS $$
    SELECT (lpad(to_hex(made.ms(n)), 12, '0') || '70008' || lpad(to_hex(k), 3, '0') || lpad(to_hex(n + 1000000000::bigint), 12, '0'))::uuid $$;
CREATE FUNCTION made.ids(n int, count int) RETURNS uuid[] IMMUTABLE LANGUAGE sql AS $$
    SELECT array_agg(made.id(i)) FROM generate_series(n, n + count - 1) i $$;
CREATE FUNCTION made.customer(n int) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN abs(n) % 10 = 3 THEN 'alice' ELSE 'customer ' || n / 20 END $$;
-- The other product of order or cart n, beside product n.
CREATE FUNCTION made.second(n int) RETURNS int IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN n % 4 = 0 AND n <> 9500 THEN 9500 ELSE n + 1 END $$;
-- How order n ended: as bought, without stock, or given back.
CREATE FUNCTION made.outcome(n int) RETURNS text IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE n % 20 WHEN -7 THEN 'short' WHEN -9 THEN 'back' ELSE 'bought' END $$;

-- Facts were said by eight in a transaction, and those of the last are not published.
DO $$ BEGIN
    EXECUTE format('CREATE FUNCTION made.mark() RETURNS xid8 IMMUTABLE LANGUAGE sql AS $f$ SELECT %L::xid8 $f$', pg_current_xact_id()::text::bigint - 1000);
END $$;
CREATE FUNCTION made.xid(n int) RETURNS xid8 IMMUTABLE LANGUAGE sql AS $$ SELECT (made.mark()::text::bigint + (n - 9900) / 8)::text::xid8 $$;
CREATE FUNCTION made.published() RETURNS text IMMUTABLE LANGUAGE sql AS $$ SELECT made.mark()::text || ':' || made.mark()::text || ':' $$;
-- Partitions that begin and end as long before now whatever the time of day: what is looked into is the same in every run.
DO $$ DECLARE part text; lo timestamptz; BEGIN
    FOR part IN SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass) LOOP
        EXECUTE 'DROP TABLE ' || part;
    END LOOP;
    FOR lo IN SELECT made.at(10000) + h * interval '1 hour' FROM generate_series(-21, 3, 6) h LOOP
        EXECUTE format('CREATE TABLE shared.outbox_%s PARTITION OF shared.outbox FOR VALUES FROM (%L) TO (%L)',
            to_char(lo, 'YYYYMMDD_HH24'), lo, lo + interval '6 hours');
    END LOOP;
    FOR lo IN SELECT made.at(10000) + h * interval '1 hour' FROM generate_series(-36, 12, 24) h LOOP
        EXECUTE format('CREATE TABLE shared.inbox_%s PARTITION OF shared.inbox FOR VALUES FROM (%L) TO (%L)',
            to_char(lo, 'YYYYMMDD'), shared.uuid_from(lo), shared.uuid_from(lo + interval '1 day'));
    END LOOP;
END $$;
UPDATE shared.relay_mark SET mark = made.mark(), snapshot = made.published()::pg_snapshot, at = now();
INSERT INTO shared.refills (module, mark) SELECT unnest(ARRAY['order', 'inventory', 'payment', 'view', 'shelf']), made.xid(9000);
INSERT INTO shared.leases (name, holder, term, expires_at) SELECT 'work ' || n, 'a', 1, now() + interval '1 hour' FROM generate_series(1, 15) n;
INSERT INTO shared.bindings (module, key) SELECT m, s || '.fact ' || f
    FROM unnest(ARRAY['order', 'inventory', 'payment', 'view', 'shelf']) m, unnest(ARRAY['optimistic', 'sequenced']) s, generate_series(1, 10) f;
INSERT INTO shared.reconcile_mark (mark, epoch) VALUES (now() - interval '1 minute', made.id(1)) ON CONFLICT DO NOTHING;
INSERT INTO payment.hunts (provider, account, at) VALUES ('sandbox', 'ours', made.at(-1000));
INSERT INTO archive.months (month) SELECT date '2020-01-01' + n * interval '1 month' FROM generate_series(1, 60) n;
CREATE TABLE archive.orders_202001 PARTITION OF archive.orders FOR VALUES IN ('2020-01-01');

-- Rows that there are few of at any time, however much is finished.
INSERT INTO payment.statement (provider_id) SELECT 'line ' || n FROM generate_series(1, 5000) n;
INSERT INTO shared.hearings (module, fact_id, begun, at) SELECT 'order', made.id(n), 1, made.at(n) FROM generate_series(1, 10000) n;
INSERT INTO shared.waiting_facts (fact_id, module, key, version, order_id, body, since, due, sent)
    SELECT made.id(n), 'order', 'optimistic.fact ' || n % 10, 1, made.id(n), '\x7b7d', made.at(n), made.at(n), n % 20 = 0 FROM generate_series(-29999, 10000) n;
