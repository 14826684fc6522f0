-- +goose Up

-- Money is at the account of the provider that has charged it, and is asked for, given back and compared there and nowhere else. A
-- payment is of the account that it was first asked for at; one that was never asked for is of none yet.
ALTER TABLE payment.payments
    ADD COLUMN provider text NOT NULL DEFAULT '',
    ADD COLUMN account  text NOT NULL DEFAULT '';
COMMENT ON COLUMN payment.payments.provider IS 'the name of the provider that it was first asked for at; empty before that';
COMMENT ON COLUMN payment.payments.account IS 'the provider''s own word for the account, empty as long as provider is';
UPDATE payment.payments SET provider = 'unknown', account = 'unknown' WHERE attempted_at IS NOT NULL;
ALTER TABLE payment.payments
    ADD CONSTRAINT attempted_at_an_account CHECK ((attempted_at IS NULL) = (provider = '') AND (provider = '') = (account = ''));

-- Each account's payments are taken up apart, so that those of one that nobody can ask are in nobody's way.
DROP INDEX payment.payments_due;
CREATE INDEX payments_due ON payment.payments (provider, account, due_at) WHERE due_at IS NOT NULL;

ALTER TABLE payment.transfers
    ADD COLUMN provider text NOT NULL DEFAULT 'unknown' CHECK (provider <> ''),
    ADD COLUMN account  text NOT NULL DEFAULT 'unknown' CHECK (account <> '');
ALTER TABLE payment.transfers
    ALTER COLUMN provider DROP DEFAULT,
    ALTER COLUMN account DROP DEFAULT;
DROP INDEX payment.transfers_by_time;
CREATE INDEX transfers_by_time ON payment.transfers (provider, account, at, provider_id);

-- Of an archived payment too; null where it was never asked for, which no proof of a month counts.
ALTER TABLE payment.archived ADD COLUMN provider text, ADD COLUMN account text;

-- What was compared before is compared again, account by account.
TRUNCATE payment.hunts, payment.statement;
ALTER TABLE payment.hunts
    ADD COLUMN account text NOT NULL,
    DROP CONSTRAINT hunts_pkey,
    ADD PRIMARY KEY (provider, account);

ALTER TABLE payment.orphans ADD COLUMN account text NOT NULL DEFAULT 'unknown';
ALTER TABLE payment.orphans ALTER COLUMN account DROP DEFAULT;

-- +goose Down
ALTER TABLE payment.archived DROP COLUMN account, DROP COLUMN provider;
ALTER TABLE payment.orphans DROP COLUMN account;
TRUNCATE payment.hunts;
ALTER TABLE payment.hunts DROP CONSTRAINT hunts_pkey, DROP COLUMN account, ADD PRIMARY KEY (provider);
DROP INDEX payment.transfers_by_time;
CREATE INDEX transfers_by_time ON payment.transfers (at, provider_id);
ALTER TABLE payment.transfers DROP COLUMN account, DROP COLUMN provider;
DROP INDEX payment.payments_due;
CREATE INDEX payments_due ON payment.payments (due_at) WHERE due_at IS NOT NULL;
ALTER TABLE payment.payments DROP CONSTRAINT attempted_at_an_account, DROP COLUMN account, DROP COLUMN provider;
