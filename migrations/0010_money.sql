-- +goose Up

-- The ledger of money: every transfer that a provider has made for an order, each from one account (credit) to another (debit), so
-- that the entries of an order, and of all orders in a currency, sum to zero at every moment. Insert only.
--
--   customer  what customers have given: the credit side of every charge
--   provider  what the provider holds for us: charges less refunds
--   refunds   what customers were given back
CREATE TABLE payment.transfers (
    provider_id  text        PRIMARY KEY CHECK (provider_id <> ''),   -- the provider's id of the charge or refund
    order_id     uuid        NOT NULL,
    kind         text        NOT NULL CHECK (kind IN ('charge', 'refund')),
    credit       text        NOT NULL,
    debit        text        NOT NULL,
    amount_minor bigint      NOT NULL CHECK (amount_minor > 0),
    currency     text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    cause        uuid        NOT NULL,                                -- the fact that wanted it
    at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds')))
);
CREATE UNIQUE INDEX transfers_one_charge ON payment.transfers (order_id) WHERE kind = 'charge';
CREATE INDEX transfers_refunds ON payment.transfers (order_id) WHERE kind = 'refund';

-- The same as double entries: what an account got is above zero, what it gave below.
CREATE VIEW payment.entries AS
    SELECT t.provider_id, t.order_id, t.kind, e.account, e.amount_minor, t.currency, t.at
    FROM payment.transfers t
    CROSS JOIN LATERAL (VALUES (t.debit, t.amount_minor), (t.credit, -t.amount_minor)) AS e (account, amount_minor);

-- What was charged, given back and kept of each order.
CREATE VIEW payment.balances AS
    SELECT order_id, currency,
           (-sum(amount_minor) FILTER (WHERE account = 'customer'))::bigint              AS charged,
           coalesce(sum(amount_minor) FILTER (WHERE account = 'refunds'), 0)::bigint     AS refunded,
           coalesce(sum(amount_minor) FILTER (WHERE account = 'provider'), 0)::bigint    AS kept
    FROM payment.entries GROUP BY order_id, currency;

-- +goose StatementBegin
CREATE FUNCTION payment.transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger of money is append-only: % of payment.transfers', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.transfers
    FOR EACH STATEMENT EXECUTE FUNCTION payment.transfers_stay();

-- No order is given back more than it was charged, in the same currency. Whoever writes has locked the order's payment, so that
-- two refunds do not pass each other by.
-- +goose StatementBegin
CREATE FUNCTION payment.refunds_within_charge() RETURNS trigger LANGUAGE plpgsql AS $$
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

INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at)
SELECT charge_id, order_id, 'charge', 'customer', 'provider', amount_minor, currency, cause, changed_at
FROM payment.payments WHERE charge_id IS NOT NULL;
INSERT INTO payment.transfers (provider_id, order_id, kind, credit, debit, amount_minor, currency, cause, at)
SELECT refund_id, order_id, 'refund', 'provider', 'refunds', amount_minor, currency, undo_cause, changed_at
FROM payment.payments WHERE refund_id IS NOT NULL;

-- +goose Down
DROP VIEW payment.balances, payment.entries;
DROP TABLE payment.transfers;
DROP FUNCTION payment.transfers_stay, payment.refunds_within_charge;
