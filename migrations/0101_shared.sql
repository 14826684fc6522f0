-- +goose Up

-- What the modules share: the outbox and the inboxes, what is known of facts that could not be handled, the relay, leases,
-- and what the reconciler has found.
CREATE SCHEMA shared;

-- The lowest UUIDv7 of a moment: what an inbox partition begins with.
-- +goose StatementBegin
CREATE FUNCTION shared.uuid_from(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;
-- +goose StatementEnd

-- Every fact that a module emits, in the transaction that it reports. Insert only.
-- Rows end with their partition, once it is older than --outbox-retention and all of it is published.
CREATE TABLE shared.outbox (
    id       uuid        NOT NULL,                                -- the fact's id, UUIDv7
    at       timestamptz NOT NULL DEFAULT now(),
    xid      xid8        NOT NULL DEFAULT pg_current_xact_id(),   -- what the relay's mark is compared with
    name     text        NOT NULL CHECK (name <> ''),
    strategy text        NOT NULL CHECK (strategy <> ''),
    order_id uuid,
    cause    uuid,                                                -- the fact that led to it
    body     bytea       NOT NULL,                                -- the finished CloudEvent
    part     text        NOT NULL DEFAULT '',                     -- the lane's part of the routing key, of lane facts; else empty
    PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX outbox_by_xid ON shared.outbox (xid, id);
CREATE INDEX outbox_by_order ON shared.outbox (order_id) WHERE order_id IS NOT NULL;   -- for an order's timeline

-- Every fact that a module has handled. The range is the fact's own id, so that a late copy meets its first.
-- Rows end with their partition, once it is older than --inbox-retention.
CREATE TABLE shared.inbox (
    module   text        NOT NULL CHECK (module IN ('order', 'inventory', 'payment', 'view', 'shelf')),
    fact_id  uuid        NOT NULL,
    name     text        NOT NULL,
    order_id uuid,
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (fact_id, module)
) PARTITION BY RANGE (fact_id);

-- The first partitions, from a day ago to three days ahead: six hours each of the outbox, a day each of the inbox, in UTC. A running
-- instance makes those that follow, and detaches and drops what is over, by single statements, which no function could run.
-- +goose StatementBegin
DO $$
DECLARE
    day timestamp := date_trunc('day', now() AT TIME ZONE 'UTC');
    lo  timestamp;
BEGIN
    FOR lo IN SELECT generate_series(day - interval '1 day', day + interval '3 days', interval '6 hours') LOOP
        EXECUTE format('CREATE TABLE shared.%I PARTITION OF shared.outbox FOR VALUES FROM (%L) TO (%L)',
            'outbox_' || to_char(lo, 'YYYYMMDD_HH24'), lo AT TIME ZONE 'UTC', (lo + interval '6 hours') AT TIME ZONE 'UTC');
    END LOOP;
    FOR lo IN SELECT generate_series(day - interval '1 day', day + interval '3 days', interval '1 day') LOOP
        EXECUTE format('CREATE TABLE shared.%I PARTITION OF shared.inbox FOR VALUES FROM (%L) TO (%L)',
            'inbox_' || to_char(lo, 'YYYYMMDD'), shared.uuid_from(lo AT TIME ZONE 'UTC'), shared.uuid_from((lo + interval '1 day') AT TIME ZONE 'UTC'));
    END LOOP;
END $$;
-- +goose StatementEnd

CREATE PUBLICATION holdfast_outbox FOR TABLE shared.outbox WITH (publish = 'insert', publish_via_partition_root = true);

-- How far the relay has published the outbox, and what that is worth: on which server and through which publication it was reached.
-- An instance that takes over compares these, and publishes again from the mark what it cannot be sure of.
-- One row, for ever.
CREATE TABLE shared.relay_mark (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    mark        xid8        NOT NULL,                        -- everything of transactions below it is published
    at          timestamptz NOT NULL DEFAULT now(),
    slot        text        NOT NULL DEFAULT '',             -- the replication slot whose stream carries on from the mark; '' until rows before it are out
    lsn         pg_lsn      NOT NULL DEFAULT '0/0',          -- everything that was committed before it is published
    system      text        NOT NULL DEFAULT '',             -- the server's system identifier; '' until a relay has run
    timeline    bigint      NOT NULL DEFAULT 0,
    publication text        NOT NULL DEFAULT '',             -- oid and version of the publication and of its table's entry
    snapshot    pg_snapshot NOT NULL DEFAULT '1:1:'          -- the last snapshot of which everything visible is published; no open transaction holds it back as it does the mark
);
INSERT INTO shared.relay_mark (mark) VALUES ('0'::xid8);

-- Who does what only one may do. A writer is fenced by its term: with the term in a key, a fence (FOR KEY SHARE) holds off the next
-- term but not the renewal of this one.
-- One row for each job, for ever.
CREATE TABLE shared.leases (
    name       text        PRIMARY KEY,
    holder     text        NOT NULL,
    term       bigint      NOT NULL CHECK (term > 0),
    expires_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX leases_by_term ON shared.leases (name, term);

-- Facts that a module could not handle.
-- Rows end --dead-letter-retention after they were replayed, or when an operator deletes them; an open one stays.
CREATE TABLE shared.dead_letters (
    id          uuid        PRIMARY KEY,
    module      text        NOT NULL,
    fact_id     uuid,
    name        text        NOT NULL DEFAULT '',
    order_id    uuid,                                -- outlives the fact's partition of the outbox
    routing_key text        NOT NULL DEFAULT '',
    reason      text        NOT NULL,
    first_error text        NOT NULL DEFAULT '',
    last_error  text        NOT NULL DEFAULT '',
    attempts    int         NOT NULL DEFAULT 0,
    body        bytea       NOT NULL,
    at          timestamptz NOT NULL DEFAULT now(),
    replayed_at timestamptz,
    replayed_by text
);
CREATE INDEX dead_letters_by_time ON shared.dead_letters (at, id);
CREATE INDEX dead_letters_by_fact ON shared.dead_letters (fact_id) WHERE fact_id IS NOT NULL;
CREATE INDEX dead_letters_by_order ON shared.dead_letters (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX dead_letters_open ON shared.dead_letters (fact_id, module) WHERE replayed_at IS NULL;
CREATE INDEX dead_letters_replayed ON shared.dead_letters (replayed_at) WHERE replayed_at IS NOT NULL;

-- What was done about dead letters, by whom, and what came of it.
-- Rows end --dead-letter-retention after they were written, and not before their letter.
CREATE TABLE shared.dead_letter_log (
    id        uuid        PRIMARY KEY,
    letter_id uuid        NOT NULL,
    module    text        NOT NULL,
    fact_id   uuid,
    name      text        NOT NULL,
    order_id  uuid,
    action    text        NOT NULL CHECK (action IN ('replay', 'delete')),
    by        text        NOT NULL CHECK (by <> ''),
    reason    text        NOT NULL DEFAULT '',     -- of a delete
    result    text        NOT NULL CHECK (result IN ('asked', 'sent', 'not taken', 'died again', 'deleted')),
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letter_log_by_letter ON shared.dead_letter_log (letter_id);
CREATE INDEX dead_letter_log_by_time ON shared.dead_letter_log (at);
CREATE INDEX dead_letter_log_by_fact ON shared.dead_letter_log (fact_id) WHERE fact_id IS NOT NULL;
CREATE INDEX dead_letter_log_given_up ON shared.dead_letter_log (fact_id, module) WHERE action = 'delete';

-- Facts that came back to their queue again and again and are handled one at a time: a row is there from before a module handles one
-- until it came back, whatever came of it. A row that is found says how often a process died in between.
-- Rows end when the fact was handled, or --inbox-retention after the last attempt.
CREATE TABLE shared.hearings (
    module  text        NOT NULL,
    fact_id uuid        NOT NULL,
    begun   int         NOT NULL CHECK (begun > 0), -- times that it was begun and did not come back
    at      timestamptz NOT NULL DEFAULT now(),     -- of the last
    PRIMARY KEY (module, fact_id)
);
CREATE INDEX hearings_by_time ON shared.hearings (at);

-- Facts that came to a module on an instance whose version has no row for them. An instance that has one puts them into the module's
-- queue.
-- Rows end when the module has handled the fact, or when --unknown-fact-patience is over and it is a dead letter.
CREATE TABLE shared.waiting_facts (
    fact_id  uuid        NOT NULL,
    module   text        NOT NULL,
    key      text        NOT NULL,                          -- the row that is wanted: <strategy>.<name>
    version  int         NOT NULL,                          -- of the shape of the fact's data
    order_id uuid,
    body     bytea       NOT NULL,                          -- the event, as it was published
    since    timestamptz NOT NULL DEFAULT now(),
    due      timestamptz NOT NULL DEFAULT now(),            -- when it may be put into the module's queue, again if it was before
    sent     boolean     NOT NULL DEFAULT false,            -- it was, and did not come back here since
    PRIMARY KEY (fact_id, module)
);
CREATE INDEX waiting_facts_by_key ON shared.waiting_facts (module, key, due);
CREATE INDEX waiting_facts_by_age ON shared.waiting_facts (since);
CREATE INDEX waiting_facts_sent ON shared.waiting_facts (fact_id, module) WHERE sent;
CREATE INDEX waiting_facts_by_order ON shared.waiting_facts (order_id) WHERE order_id IS NOT NULL;

-- What the modules of all versions that were ever started handle from queues, as RabbitMQ's bindings are. Whether a fact was not
-- handled, or is one that no queue took, is judged by these and not by the rows of one version.
-- One row for each routing key of a module, until `holdfast queues rebuild --force` forgets a version that was taken back.
CREATE TABLE shared.bindings (
    module text        NOT NULL,                            -- '': no module needs to handle it from a queue
    key    text        NOT NULL,                            -- routing key
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (module, key)
);
CREATE INDEX bindings_by_key ON shared.bindings (key);

-- How far it is known that a module has handled what it must: everything of transactions below the mark.
-- One row for each module, for ever.
CREATE TABLE shared.refills (
    module      text        PRIMARY KEY,
    mark        xid8        NOT NULL DEFAULT '0',
    asked_at    timestamptz,                       -- its queue was found gone, or an operator asked
    refilled_at timestamptz,                       -- when facts were last published to it again
    facts       bigint      NOT NULL DEFAULT 0     -- how many, in all
);

-- Every comparison of Redis with Postgres, and what came of it.
-- Rows end 30 days after the run began, their differences before them.
CREATE TABLE shared.reconciliations (
    id         uuid             PRIMARY KEY,                   -- UUIDv7
    scope      text             NOT NULL CHECK (scope IN ('delta', 'full')),
    everything boolean          NOT NULL,                      -- also of a delta that had nothing to begin from
    dry_run    boolean          NOT NULL,
    term       bigint           NOT NULL CHECK (term > 0),     -- of the lease under which it ran
    started_at timestamptz      NOT NULL DEFAULT now(),
    ended_at   timestamptz,                                    -- null while it runs, and for one that died
    seconds    double precision NOT NULL DEFAULT 0,
    compared   bigint           NOT NULL DEFAULT 0,
    drifted    bigint           NOT NULL DEFAULT 0,
    repaired   bigint           NOT NULL DEFAULT 0,
    error      text             NOT NULL DEFAULT '',           -- why it did not come to its end
    CHECK (repaired <= drifted)
);
CREATE INDEX reconciliations_by_time ON shared.reconciliations (started_at);
CREATE INDEX reconciliations_by_end ON shared.reconciliations (ended_at) WHERE error = '' AND NOT dry_run;

-- What differed, and what was done about it.
-- Rows end before their run does.
CREATE TABLE shared.reconciliation_differences (
    run_id   uuid        NOT NULL REFERENCES shared.reconciliations ON DELETE CASCADE,
    n        int         NOT NULL CHECK (n > 0),
    pair     text        NOT NULL CHECK (pair IN ('stock', 'holds', 'cart')),
    key      text        NOT NULL,
    redis    text        NOT NULL,
    postgres text        NOT NULL,
    action   text        NOT NULL CHECK (action IN ('repaired', 'left', 'would_repair')),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, n)
);
CREATE INDEX reconciliation_differences_by_key ON shared.reconciliation_differences (key, at);

-- Until when everything has been compared, and the word that Redis keeps for as long as it keeps its memory.
-- One row, for ever.
CREATE TABLE shared.reconcile_mark (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    mark  timestamptz NOT NULL,
    epoch uuid        NOT NULL
);

-- What Redis must know to be the one whose memory is ours, up to now. It is written there first; this is what it has acknowledged.
-- One row, for ever.
CREATE TABLE shared.redis_memory (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid        NOT NULL,                            -- changes whenever Redis begins with an empty memory
    beat  bigint      NOT NULL CHECK (beat >= 0),          -- grows every few seconds: a Redis that has a lower one has gone back in time
    at    timestamptz NOT NULL                             -- a moment before Redis was sent the beat
);
INSERT INTO shared.redis_memory (epoch, beat, at) VALUES (gen_random_uuid(), 0, now());

-- +goose Down
DROP PUBLICATION holdfast_outbox;
DROP SCHEMA shared CASCADE;
