-- +goose Up

-- What operators have done about payments. Insert only.
CREATE TABLE payment.acts (
    id       uuid        PRIMARY KEY,
    order_id uuid        NOT NULL,
    act      text        NOT NULL CHECK (act IN ('retry', 'close', 'adopt', 'settle')),
    by       text        NOT NULL CHECK (by <> ''),                 -- whose token it was
    reason   text        NOT NULL DEFAULT '',
    state    text        NOT NULL,                                  -- of the payment, after it
    at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT settled_for_a_reason CHECK (act <> 'settle' OR reason <> '')
);
CREATE INDEX acts_by_order ON payment.acts (order_id);
CREATE UNIQUE INDEX acts_settled ON payment.acts (order_id) WHERE act = 'settle';

-- +goose StatementBegin
CREATE FUNCTION payment.acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what operators have done is append-only: % of payment.acts', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER acts_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON payment.acts FOR EACH STATEMENT EXECUTE FUNCTION payment.acts_stay();

-- What a person has given back by another way than the provider comes from account outside: the provider still holds the charge.
ALTER TABLE payment.transfers
    DROP CONSTRAINT accounts_of_the_kind,
    ADD CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN
        (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds'), ('refund', 'outside', 'refunds')));

-- +goose Down
ALTER TABLE payment.transfers
    DROP CONSTRAINT accounts_of_the_kind,
    ADD CONSTRAINT accounts_of_the_kind CHECK ((kind, credit, debit) IN (('charge', 'customer', 'provider'), ('refund', 'provider', 'refunds')));
DROP TABLE payment.acts;
DROP FUNCTION payment.acts_stay;
