-- +goose Up

-- A refund that the provider made, or was making, and that has failed: the customer has not got the money. Insert only.
CREATE TABLE payment.failed_refunds (
    refund_id    text        PRIMARY KEY CHECK (refund_id <> ''),     -- the provider's
    provider     text        NOT NULL CHECK (provider <> ''),
    account      text        NOT NULL CHECK (account <> ''),          -- of ours at it
    charge_id    text        NOT NULL DEFAULT '',                     -- what it was to give back
    order_id     uuid,                                                -- whose payment it is; null: no payment's
    effect       text        NOT NULL CHECK (effect IN ('owed again', 'still owed', 'none')),
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',                     -- in the provider's word
    failed_at    timestamptz NOT NULL,                                -- on the provider's clock
    told_at      timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN payment.failed_refunds.effect IS
    'owed again: it had counted as made; still owed: it had not, and is asked for; none: nobody here wants it made, or counts on it';
CREATE INDEX failed_refunds_by_order ON payment.failed_refunds (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX failed_refunds_by_time ON payment.failed_refunds (told_at, refund_id);

-- A customer has had his bank take a charge back. The row is how the dispute stands, by what was told last on the provider's clock.
CREATE TABLE payment.disputes (
    dispute_id   text        PRIMARY KEY CHECK (dispute_id <> ''),    -- the provider's
    provider     text        NOT NULL CHECK (provider <> ''),
    account      text        NOT NULL CHECK (account <> ''),          -- of ours at it
    charge_id    text        NOT NULL,
    order_id     uuid,                                                -- whose payment it is; null: no payment's
    amount_minor bigint      NOT NULL,
    currency     text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',
    status       text        NOT NULL CHECK (status <> ''),           -- in the provider's word
    over         boolean     NOT NULL,                                -- nothing can become of it any more
    funds        text        NOT NULL CHECK (funds IN ('kept', 'withdrawn', 'reinstated')),
    as_of        timestamptz NOT NULL,                                -- of the last word, on the provider's clock
    told_at      timestamptz NOT NULL DEFAULT now(),                  -- when it was first heard of
    changed_at   timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN payment.disputes.funds IS 'what the provider did with the money: it moves forward only, whatever the order in which it was told';
CREATE INDEX disputes_by_order ON payment.disputes (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX disputes_by_time ON payment.disputes (told_at, dispute_id);
CREATE INDEX disputes_open ON payment.disputes (told_at, dispute_id) WHERE NOT over;

-- A refund that failed is owed again: the payment goes back to REFUNDING.
ALTER TABLE payment.payments
    ADD COLUMN failed_refunds text[] NOT NULL DEFAULT '{}',
    ADD COLUMN reversals      int    NOT NULL DEFAULT 0 CHECK (reversals >= 0),
    ADD CONSTRAINT reversed_by_failures CHECK (reversals <= cardinality(failed_refunds)),
    ADD CONSTRAINT refund_has_not_failed CHECK (refund_id IS NULL OR refund_id <> ALL (failed_refunds));
COMMENT ON COLUMN payment.payments.failed_refunds IS 'the provider''s ids of refunds of it that have failed: none of them is believed again';
COMMENT ON COLUMN payment.payments.reversals IS 'how many of these had counted as made: payment.refunded was said, and is not said again';

ALTER TABLE payment.orphans
    ADD COLUMN failed_refunds text[] NOT NULL DEFAULT '{}',
    ADD CONSTRAINT orphans_refund_has_not_failed CHECK (refund_id IS NULL OR refund_id <> ALL (failed_refunds));

-- What a refund that failed had given back comes from account refunds to the provider again, under an id of its own.
ALTER TABLE payment.transfers
    DROP CONSTRAINT transfers_kind_check,
    ADD CONSTRAINT transfers_kind_check CHECK (kind IN ('charge', 'refund', 'reversal')),
    DROP CONSTRAINT accounts_of_the_kind,
    ADD CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN
        (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds'), ('refund', 'outside', 'refunds'), ('reversal', 'refunds', 'provider'))),
    ADD CONSTRAINT reversals_name_a_refund CHECK ((kind = 'reversal') = (provider_id LIKE 'reversal-%'));

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.refunds_within_charge() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    kept     bigint; -- of what was charged
    returned bigint; -- to the customer
BEGIN
    SELECT coalesce(sum(CASE kind WHEN 'refund' THEN -amount_minor ELSE amount_minor END), -1),
           coalesce(sum(CASE kind WHEN 'refund' THEN amount_minor WHEN 'reversal' THEN -amount_minor ELSE 0 END), 0)
        INTO kept, returned FROM payment.transfers WHERE order_id = NEW.order_id AND currency = NEW.currency;
    IF kept < 0 THEN
        RAISE EXCEPTION 'order % would be given back more than it was charged', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_charge';
    END IF;
    IF returned < 0 THEN
        RAISE EXCEPTION 'more of order % would come back than was given back', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'reversals_within_refunds';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
DROP TRIGGER refunds_within_charge ON payment.transfers;
CREATE TRIGGER refunds_within_charge AFTER INSERT ON payment.transfers
    FOR EACH ROW WHEN (NEW.kind IN ('refund', 'reversal')) EXECUTE FUNCTION payment.refunds_within_charge();

-- +goose Down
DROP TRIGGER refunds_within_charge ON payment.transfers;
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.refunds_within_charge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT coalesce(sum(CASE kind WHEN 'charge' THEN amount_minor ELSE -amount_minor END), -1)
        FROM payment.transfers WHERE order_id = NEW.order_id AND currency = NEW.currency) < 0 THEN
        RAISE EXCEPTION 'order % would be given back more than it was charged', NEW.order_id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'refunds_within_charge';
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER refunds_within_charge AFTER INSERT ON payment.transfers
    FOR EACH ROW WHEN (NEW.kind = 'refund') EXECUTE FUNCTION payment.refunds_within_charge();
ALTER TABLE payment.transfers
    DROP CONSTRAINT reversals_name_a_refund,
    DROP CONSTRAINT accounts_of_the_kind,
    ADD CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN
        (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds'), ('refund', 'outside', 'refunds'))),
    DROP CONSTRAINT transfers_kind_check,
    ADD CONSTRAINT transfers_kind_check CHECK (kind IN ('charge', 'refund'));
ALTER TABLE payment.orphans DROP CONSTRAINT orphans_refund_has_not_failed, DROP COLUMN failed_refunds;
ALTER TABLE payment.payments
    DROP CONSTRAINT refund_has_not_failed, DROP CONSTRAINT reversed_by_failures, DROP COLUMN reversals, DROP COLUMN failed_refunds;
DROP TABLE payment.disputes, payment.failed_refunds;
