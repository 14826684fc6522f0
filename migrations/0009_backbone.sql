-- +goose Up

ALTER TABLE shared.dead_letters ADD COLUMN replayed_by text;

-- What was done about dead letters, by whom, and what came of it. It outlives the letters.
CREATE TABLE shared.dead_letter_log (
    id        uuid        PRIMARY KEY,
    letter_id uuid        NOT NULL,
    module    text        NOT NULL,
    fact_id   uuid,
    name      text        NOT NULL,
    action    text        NOT NULL CHECK (action IN ('replay', 'delete')),
    by        text        NOT NULL CHECK (by <> ''),
    reason    text        NOT NULL DEFAULT '',     -- of a delete
    result    text        NOT NULL CHECK (result IN ('asked', 'sent', 'not taken', 'died again', 'deleted')),
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letter_log_by_letter ON shared.dead_letter_log (letter_id);
CREATE INDEX dead_letters_by_time ON shared.dead_letters (at, id);
CREATE INDEX dead_letters_open ON shared.dead_letters (fact_id, module) WHERE replayed_at IS NULL;

-- How far it is known that a module has heard what it must: everything of transactions below the mark, in the outbox of today.
CREATE TABLE shared.refills (
    module      text        PRIMARY KEY,
    mark        xid8        NOT NULL DEFAULT '0',
    asked_at    timestamptz,                       -- its queue was found gone, or somebody asked
    refilled_at timestamptz,                       -- when facts were last published to it again
    facts       bigint      NOT NULL DEFAULT 0     -- how many, in all
);

-- Makes the partitions from a day ago to three days ahead, where they are missing: six hours each of the outbox, a day
-- each of the inbox. Days are UTC. A partition of the inbox that lies before the oldest one is not made again: it was
-- dropped, and facts of its time must not be taken for new.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION shared.make_partitions() RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    day    timestamp := date_trunc('day', now() AT TIME ZONE 'UTC');
    lo     timestamp;
    made   int := 0;
    part   text;
    oldest text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('shared.make_partitions'));
    SELECT min(c.relname) INTO oldest FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'shared.inbox'::regclass;
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
        IF to_regclass('shared.' || part) IS NULL AND (oldest IS NULL OR part > oldest) THEN
            EXECUTE format('CREATE TABLE shared.%I PARTITION OF shared.inbox FOR VALUES FROM (%L) TO (%L)',
                part, shared.uuid_from(lo AT TIME ZONE 'UTC'), shared.uuid_from((lo + interval '1 day') AT TIME ZONE 'UTC'));
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
-- +goose StatementEnd

-- +goose Down
DROP TABLE shared.refills;
DROP INDEX shared.dead_letters_open;
DROP INDEX shared.dead_letters_by_time;
DROP TABLE shared.dead_letter_log;
ALTER TABLE shared.dead_letters DROP COLUMN replayed_by;
