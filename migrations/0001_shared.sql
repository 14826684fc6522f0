-- +goose Up
CREATE SCHEMA shared;

-- Every fact that a module says, in the transaction that it reports. Insert only: rows go with their partition.
CREATE TABLE shared.outbox (
    id       uuid        NOT NULL,                                -- the fact's id, UUIDv7
    at       timestamptz NOT NULL DEFAULT now(),
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),   -- what the relay's mark is compared with
    name     text        NOT NULL CHECK (name <> ''),
    strategy text        NOT NULL CHECK (strategy <> ''),
    order_id uuid,
    cause    uuid,                                                -- the fact that led to it
    body     bytea       NOT NULL,                                -- the finished CloudEvent
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX outbox_by_xid ON shared.outbox (xid, id);

-- Every fact that a module has heard. The range is the fact's own id, so that a late copy meets its first.
CREATE TABLE shared.inbox (
    module   text        NOT NULL CHECK (module IN ('order', 'inventory', 'payment', 'view', 'shelf')),
    fact_id  uuid        NOT NULL,
    name     text        NOT NULL,
    order_id uuid,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fact_id, module)
) PARTITION BY RANGE (fact_id);

-- Below the mark everything has been published: rows with xid < mark are of no more use to the relay.
CREATE TABLE shared.relay_mark (
    one  boolean     PRIMARY KEY DEFAULT true CHECK (one),
    mark xid8        NOT NULL,
    at   timestamptz NOT NULL DEFAULT now(),
    slot text        NOT NULL DEFAULT ''   -- the replication slot whose stream carries on from the mark; '' until rows before it are out
);
INSERT INTO shared.relay_mark (mark) VALUES ('0'::xid8);

-- Who does what only one may do. A writer is fenced by its term.
CREATE TABLE shared.leases (
    name       text        PRIMARY KEY,
    holder     text        NOT NULL,
    term       bigint      NOT NULL CHECK (term > 0),
    expires_at timestamptz NOT NULL
);

-- Facts that a module could not digest.
CREATE TABLE shared.dead_letters (
    id          uuid        PRIMARY KEY,
    module      text        NOT NULL,
    fact_id     uuid,
    name        text        NOT NULL DEFAULT '',
    routing_key text        NOT NULL DEFAULT '',
    reason      text        NOT NULL,
    first_error text        NOT NULL DEFAULT '',
    last_error  text        NOT NULL DEFAULT '',
    attempts    int         NOT NULL DEFAULT 0,
    body        bytea       NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz
);

-- The lowest UUIDv7 of a moment: what an inbox partition begins with.
-- +goose StatementBegin
CREATE FUNCTION shared.uuid_from(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
-- +goose StatementEnd

-- Makes the partitions from a day ago to three days ahead, where they are missing: six hours each of the outbox, a day
-- each of the inbox. Days are UTC.
-- +goose StatementBegin
CREATE FUNCTION shared.make_partitions() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    day   timestamp := date_trunc('day', now() AT TIME ZONE 'UTC');
    lo    timestamp;
    made  int := 0;
    part  text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shared.make_partitions'));
    FOR lo IN SELECT generate_series(day - interval '1 day', day + interval '3 days', interval '6 hours') LOOP
        part := 'outbox_' || to_char(lo, 'YYYYMMDD_HH24');
        IF to_regclass('shared.' || part) IS NULL THEN
            EXECUTE format('CREATE TABLE shared.%I PARTITION OF shared.outbox FOR VALUES FROM (%L) TO (%L)',
                part, lo AT TIME ZONE 'UTC', (lo + interval '6 hours') AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    FOR lo IN SELECT generate_series(day - interval '1 day', day + interval '3 days', interval '1 day') LOOP
        part := 'inbox_' || to_char(lo, 'YYYYMMDD');
        IF to_regclass('shared.' || part) IS NULL THEN
            EXECUTE format('CREATE TABLE shared.%I PARTITION OF shared.inbox FOR VALUES FROM (%L) TO (%L)',
                part, shared.uuid_from(lo AT TIME ZONE 'UTC'), shared.uuid_from((lo + interval '1 day') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
-- +goose StatementEnd

-- Drops what lies wholly before the given moments; of the outbox only what is published, that is below the relay's mark.
-- +goose StatementBegin
CREATE FUNCTION shared.drop_partitions(outbox_before timestamptz, inbox_before timestamptz) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    part    text;
    waiting boolean;
    dropped int := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shared.make_partitions'));
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'shared.outbox'::regclass ORDER BY 1 LOOP
        CONTINUE WHEN to_timestamp(substr(part, 8), 'YYYYMMDD_HH24')::timestamp + interval '6 hours' > outbox_before AT TIME ZONE 'UTC';
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM shared.%I WHERE xid >= (SELECT mark FROM shared.relay_mark))', part) INTO waiting;
        CONTINUE WHEN waiting;
        EXECUTE format('DROP TABLE shared.%I', part);
        dropped := dropped + 1;
    END LOOP;
    FOR part IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
                WHERE i.inhparent = 'shared.inbox'::regclass ORDER BY 1 LOOP
        CONTINUE WHEN to_timestamp(substr(part, 7), 'YYYYMMDD')::timestamp + interval '1 day' > inbox_before AT TIME ZONE 'UTC';
        EXECUTE format('DROP TABLE shared.%I', part);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;
-- +goose StatementEnd

SELECT shared.make_partitions();

CREATE PUBLICATION holdfast_outbox FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true);

-- +goose Down
DROP PUBLICATION holdfast_outbox;
DROP SCHEMA shared CASCADE;
