-- +goose Up

-- Facts that came to a module on an instance whose version has no row for them. They wait for one that has, which puts them into
-- the module's queue; a row goes when its module has handled the fact, or when nobody came for it in time and it is a dead letter.
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

-- What the modules of all versions that were ever started hear from queues, as RabbitMQ's bindings are: whoever looks for facts
-- that were not handled, or finds one that no queue took, judges by these and not by the rows that its own version has.
CREATE TABLE shared.bindings (
    module text        NOT NULL,                            -- '': nobody needs to hear it from a queue
    key    text        NOT NULL,                            -- routing key
    at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (module, key)
);
CREATE INDEX bindings_by_key ON shared.bindings (key);

-- Whose fact it is outlives the fact's partition of the outbox.
ALTER TABLE shared.dead_letters ADD COLUMN order_id uuid;
UPDATE shared.dead_letters d SET order_id = o.order_id FROM shared.outbox o WHERE o.id = d.fact_id;
ALTER TABLE shared.dead_letter_log ADD COLUMN order_id uuid;
CREATE INDEX dead_letter_log_given_up ON shared.dead_letter_log (fact_id, module) WHERE action = 'delete';

-- +goose Down
DROP INDEX shared.dead_letter_log_given_up;
ALTER TABLE shared.dead_letter_log DROP COLUMN order_id;
ALTER TABLE shared.dead_letters DROP COLUMN order_id;
DROP TABLE shared.bindings;
DROP TABLE shared.waiting_facts;
