-- +goose Up

-- What an operator is shown of money that is under way, and of money that only one side knows of.
ALTER TABLE payment.payments ADD COLUMN owed_since timestamptz;
COMMENT ON COLUMN payment.payments.owed_since IS 'since when the customer is owed a refund; null when none is owed';
UPDATE payment.payments SET owed_since = changed_at WHERE due_at IS NOT NULL AND state = 'REFUNDING';

ALTER TABLE payment.orphans
    ADD COLUMN tries      int  NOT NULL DEFAULT 0 CHECK (tries >= 0),
    ADD COLUMN last_error text NOT NULL DEFAULT '';
COMMENT ON COLUMN payment.orphans.tries IS 'how often its refund was asked for';
COMMENT ON COLUMN payment.orphans.last_error IS 'why its refund was last not made; empty when it was made or never asked for';
CREATE INDEX orphans_by_time ON payment.orphans (found_at, provider_id);

-- +goose Down
DROP INDEX payment.orphans_by_time;
ALTER TABLE payment.orphans DROP COLUMN last_error, DROP COLUMN tries;
ALTER TABLE payment.payments DROP COLUMN owed_since;
