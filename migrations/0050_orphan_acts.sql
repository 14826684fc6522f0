-- +goose Up

-- What operators have done about money that only one side knows of. Insert only.
CREATE TABLE payment.orphan_acts (
    id          uuid        PRIMARY KEY,
    provider_id text        NOT NULL REFERENCES payment.orphans,
    act         text        NOT NULL CHECK (act IN ('refund', 'settle')),
    by          text        NOT NULL CHECK (by <> ''),                 -- whose token it was
    reason      text        NOT NULL DEFAULT '',
    result      text        NOT NULL,                                  -- what came of it
    at          timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT settled_for_a_reason CHECK (act <> 'settle' OR reason <> '')
);
CREATE INDEX orphan_acts_by_orphan ON payment.orphan_acts (provider_id);
CREATE UNIQUE INDEX orphan_acts_settled ON payment.orphan_acts (provider_id) WHERE act = 'settle';
CREATE TRIGGER orphan_acts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.orphan_acts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

ALTER TABLE payment.orphans
    ADD COLUMN settled_at timestamptz,
    ADD CONSTRAINT settled_is_not_given_back CHECK (settled_at IS NULL OR (due_at IS NULL AND refund_id IS NULL));
COMMENT ON COLUMN payment.orphans.settled_at IS 'when a person has seen to it by another way than a refund of the provider''s';

-- Null where there was none, as in what was archived before.
ALTER TABLE payment.attempts ADD COLUMN error text;
COMMENT ON COLUMN payment.attempts.error IS 'why a call to the provider came to nothing';

-- +goose Down
ALTER TABLE payment.attempts DROP COLUMN error;
ALTER TABLE payment.orphans DROP CONSTRAINT settled_is_not_given_back, DROP COLUMN settled_at;
DROP TABLE payment.orphan_acts;
