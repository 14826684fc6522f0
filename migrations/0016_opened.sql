-- +goose Up

-- Some providers have a charge opened before it is made, under an id of theirs by which it is found ever after, whatever they forget.
-- It is committed before anything can be charged under it, by the newest claim alone, and never becomes another.
ALTER TABLE payment.payments ADD COLUMN opened_as text CHECK (opened_as <> '');
COMMENT ON COLUMN payment.payments.opened_as IS 'the provider''s id of the charge that was opened, to be made next; null where none is opened first';

ALTER TABLE payment.attempts
    DROP CONSTRAINT attempts_call_check,
    ADD CONSTRAINT attempts_call_check CHECK (call IN ('open', 'charge', 'refund', 'lookup', 'close'));

-- +goose Down
DELETE FROM payment.attempts WHERE call = 'open';
ALTER TABLE payment.attempts
    DROP CONSTRAINT attempts_call_check,
    ADD CONSTRAINT attempts_call_check CHECK (call IN ('charge', 'refund', 'lookup', 'close'));
ALTER TABLE payment.payments DROP COLUMN opened_as;
