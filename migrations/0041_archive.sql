-- +goose Up

-- Orders that ended long ago: each is one document of all its rows, so that a column that a later version adds is in it without a
-- change here. A partition for each month of their end, in UTC, to be dumped and dropped as a whole.
CREATE SCHEMA archive;
CREATE TABLE archive.orders (
    id       uuid  NOT NULL,
    month    date  NOT NULL,
    customer text  NOT NULL,
    view     jsonb NOT NULL,   -- the row of orders.view
    rows     jsonb NOT NULL,   -- all others, by table: {"orders.lines": [{…}, …], …}
    PRIMARY KEY (id, month)
) PARTITION BY LIST (month);
CREATE INDEX orders_by_customer ON archive.orders (customer, id DESC);

-- What went into each month, in numbers and digests: the proof of what stays, and of the documents for as long as they are there.
CREATE TABLE archive.months (
    month     date        PRIMARY KEY CHECK (extract(day FROM month) = 1),
    orders    bigint      NOT NULL DEFAULT 0,
    movements bigint      NOT NULL DEFAULT 0,   -- of stock
    payments  bigint      NOT NULL DEFAULT 0,
    gone      bigint      NOT NULL DEFAULT 0,   -- orders of a partition that was dropped, before this one was made
    known     numeric     NOT NULL DEFAULT 0,   -- sum of digests of orders.archived
    money     numeric     NOT NULL DEFAULT 0,   -- of payment.archived
    documents numeric     NOT NULL DEFAULT 0,   -- of archive.orders, but for what is gone
    last_at   timestamptz NOT NULL DEFAULT now()
);

-- A number made of a text, the sum of which tells whether any of many has changed.
-- +goose StatementBegin
CREATE FUNCTION archive.digest(what text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT ('x' || left(md5(what), 15))::bit(60)::bigint
$$;
-- +goose StatementEnd

-- What stays of an archived order for good, also when its month is dropped.
CREATE TABLE orders.archived (
    id       uuid PRIMARY KEY,
    customer text NOT NULL,
    month    date NOT NULL
);

-- And of its payment: the provider may tell of it, and list it, at any time. Its keys are made of the order's id.
CREATE TABLE payment.archived (
    order_id     uuid   PRIMARY KEY,
    month        date   NOT NULL,
    state        text   NOT NULL CHECK (state IN ('SUCCESS', 'DECLINED', 'REFUNDED', 'VOIDED')),
    amount_minor bigint NOT NULL,
    currency     text   NOT NULL,
    opened_as    text,
    charge_id    text,
    refund_id    text
);
CREATE UNIQUE INDEX archived_by_charge ON payment.archived (charge_id) WHERE charge_id IS NOT NULL;
CREATE UNIQUE INDEX archived_by_refund ON payment.archived (refund_id) WHERE refund_id IS NOT NULL;

-- What the movements of archived orders come to for each product.
CREATE TABLE inventory.carried (
    product_id uuid    PRIMARY KEY,
    taken      bigint  NOT NULL CHECK (taken >= 0),       -- units that they took and did not give back
    movements  bigint  NOT NULL CHECK (movements > 0),
    chain      numeric NOT NULL                           -- what they leave open in the chain of balances: sum of inventory.links
);

-- A movement leads from one balance to another. Whatever their order, the links of a product's movements from nothing to what is
-- available sum to the link from nothing to that; hashed, so that no other movements do.
-- +goose StatementBegin
CREATE FUNCTION inventory.link(before bigint, after bigint) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashint8extended(after, 41)::numeric - hashint8extended(before, 41)::numeric
$$;
-- +goose StatementEnd

-- The archive finds an order's transfers whatever their kind.
CREATE INDEX transfers_by_order ON payment.transfers (order_id);
DROP INDEX payment.transfers_refunds;
CREATE INDEX orphans_by_order ON payment.orphans (order_id);
CREATE INDEX dead_letters_by_order ON shared.dead_letters (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX waiting_facts_by_order ON shared.waiting_facts (order_id) WHERE order_id IS NOT NULL;

-- What is append-only leaves for the archive alone, which says so in its transaction.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('holdfast.archiving', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the ledger of money is append-only: % of payment.transfers', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('holdfast.archiving', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'what operators have done is append-only: % of payment.acts', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
DO $$ BEGIN
    IF EXISTS (SELECT FROM orders.archived) THEN
        RAISE EXCEPTION 'archived orders would be lost: restore them first';
    END IF;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.acts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what operators have done is append-only: % of payment.acts', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION payment.transfers_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger of money is append-only: % of payment.transfers', TG_OP USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd
DROP INDEX shared.waiting_facts_by_order;
DROP INDEX shared.dead_letters_by_order;
DROP INDEX payment.orphans_by_order;
CREATE INDEX transfers_refunds ON payment.transfers (order_id) WHERE kind = 'refund';
DROP INDEX payment.transfers_by_order;
DROP FUNCTION inventory.link;
DROP TABLE inventory.carried, payment.archived, orders.archived;
DROP SCHEMA archive CASCADE;
