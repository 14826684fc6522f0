-- +goose Up

-- What is true outside, by the word of whoever has settled a payment: also of one at an account that nobody can ask any more, of which it
-- is not known here whether it was charged. Null with other acts, and of what was settled before it was asked for: that was refunded.
ALTER TABLE payment.acts
    ADD COLUMN outcome text,
    ADD CONSTRAINT outcome_of_a_settlement CHECK (outcome IS NULL OR act = 'settle' AND outcome IN ('charged', 'not_charged', 'refunded'));
-- What was charged can be settled once more when it is owed back.
DROP INDEX payment.acts_settled;
CREATE UNIQUE INDEX acts_settled ON payment.acts (order_id, coalesce(outcome, 'refunded')) WHERE act = 'settle';

-- What an operator has said of an archived payment stays with what is known of it; null mostly, which no proof of a month counts.
ALTER TABLE payment.archived ADD COLUMN settled text;
COMMENT ON COLUMN payment.archived.settled IS 'what was true outside by the word of whoever has settled it last';
CREATE INDEX archived_settled ON payment.archived (order_id) WHERE settled IS NOT NULL;

-- Accounts that are gone for good, by the word of an operator. Insert only. One that is configured again counts as configured.
CREATE TABLE payment.closed_accounts (
    provider text        NOT NULL CHECK (provider <> ''),
    account  text        NOT NULL CHECK (account <> ''),
    by       text        NOT NULL CHECK (by <> ''),     -- whose token it was
    reason   text        NOT NULL CHECK (reason <> ''),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (provider, account)
);
CREATE TRIGGER closed_accounts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.closed_accounts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

-- +goose Down
DROP TABLE payment.closed_accounts;
ALTER TABLE payment.archived DROP COLUMN settled;
DROP INDEX payment.acts_settled;
CREATE UNIQUE INDEX acts_settled ON payment.acts (order_id) WHERE act = 'settle';
ALTER TABLE payment.acts DROP CONSTRAINT outcome_of_a_settlement, DROP COLUMN outcome;
