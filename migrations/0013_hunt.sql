-- +goose Up

-- How far the provider's books and ours have been compared with each other.
CREATE TABLE payment.hunts (
    provider  text        PRIMARY KEY,
    mark      text        NOT NULL DEFAULT '',            -- where its list was read to, in its own words
    at        timestamptz NOT NULL DEFAULT '-infinity',   -- our transfers were looked for in it up to here,
    at_id     text        NOT NULL DEFAULT '',            -- and up to this one of that moment
    ran_at    timestamptz NOT NULL DEFAULT now()          -- when it was last read to its end
);

-- What stands in the provider's list and has not met our transfer of it yet.
CREATE TABLE payment.statement (
    provider_id text PRIMARY KEY CHECK (provider_id <> '')
);

-- Money that only one side knows of.
CREATE TABLE payment.orphans (
    provider_id  text        PRIMARY KEY CHECK (provider_id <> ''),   -- of the charge or refund
    provider     text        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('charge', 'refund')),
    found        text        NOT NULL CHECK (found IN ('stray', 'no order', 'foreign', 'wrong', 'missing')),
    order_id     text        NOT NULL,                -- as the provider has it
    key          text        NOT NULL,
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    found_at     timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz,                         -- when to give it back; null: a person must see to it, or it is done
    attempted_at timestamptz,                         -- before the refund was first asked for
    refund_id    text        UNIQUE CHECK (refund_id <> ''),
    refunded_at  timestamptz,
    CONSTRAINT charges_are_given_back CHECK (kind = 'charge' OR (due_at IS NULL AND refund_id IS NULL)),
    CONSTRAINT refunded_by_a_refund CHECK ((refund_id IS NULL) = (refunded_at IS NULL))
);
CREATE INDEX orphans_due ON payment.orphans (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX transfers_by_time ON payment.transfers (at, provider_id);

-- +goose Down
DROP INDEX payment.transfers_by_time;
DROP TABLE payment.orphans, payment.statement, payment.hunts;
