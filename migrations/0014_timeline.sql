-- +goose Up

-- What an order's timeline is read by.
CREATE INDEX outbox_by_order ON shared.outbox (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX dead_letters_by_fact ON shared.dead_letters (fact_id) WHERE fact_id IS NOT NULL;
CREATE INDEX dead_letter_log_by_fact ON shared.dead_letter_log (fact_id) WHERE fact_id IS NOT NULL;
CREATE INDEX reconciliation_differences_by_key ON shared.reconciliation_differences (key, at);

-- Every call to a payment provider, and what it answered. A call that nobody lived to note is missing: its claim has none.
CREATE TABLE payment.attempts (
    order_id uuid        NOT NULL,
    claim    bigint      NOT NULL CHECK (claim > 0),                                       -- of payment.payments
    n        smallint    NOT NULL CHECK (n > 0),                                           -- which call of that claim
    call     text        NOT NULL CHECK (call IN ('charge', 'refund', 'lookup', 'close')),
    verdict  text        NOT NULL DEFAULT '',                                              -- '' when the answer was lost, or none
    ms       int         NOT NULL CHECK (ms >= 0),
    at       timestamptz NOT NULL,                                                         -- when the call began
    PRIMARY KEY (order_id, claim, n)
);

-- +goose Down
DROP TABLE payment.attempts;
DROP INDEX shared.reconciliation_differences_by_key;
DROP INDEX shared.dead_letter_log_by_fact;
DROP INDEX shared.dead_letters_by_fact;
DROP INDEX shared.outbox_by_order;
