-- +goose Up

-- A provider may keep its first answer under a key, an error too, and give it again for as long as it remembers the key. So the answers
-- that were errors are counted: what may be asked for again goes under a key that ends with the count.
ALTER TABLE payment.payments
    ADD COLUMN error_answers int  NOT NULL DEFAULT 0 CHECK (error_answers >= 0),
    ADD COLUMN last_error    text NOT NULL DEFAULT '';
COMMENT ON COLUMN payment.payments.error_answers IS 'how many answers of the provider about it were errors';
COMMENT ON COLUMN payment.payments.last_error IS 'why the provider was last asked without learning the outcome; empty once it is known';

ALTER TABLE payment.orphans ADD COLUMN error_answers int NOT NULL DEFAULT 0 CHECK (error_answers >= 0);

-- +goose Down
ALTER TABLE payment.orphans DROP COLUMN error_answers;
ALTER TABLE payment.payments DROP COLUMN last_error, DROP COLUMN error_answers;
