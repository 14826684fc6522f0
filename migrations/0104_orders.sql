-- +goose Up
CREATE SCHEMA orders;

-- Rows end when they are archived: --archive-after, or --older-than of `holdfast archive`, after their end.
CREATE TABLE orders.orders (
    id               uuid        PRIMARY KEY,
    customer         text        NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    strategy         text        NOT NULL CHECK (strategy <> ''),
    hold_id          uuid,                   -- what holds its units in Redis: the cart's id, one made of the request, or nothing
    cart_id          uuid        UNIQUE,     -- a cart is bought once
    status           text        NOT NULL CHECK (status IN ('CREATED', 'PROCESSING', 'COMPLETED', 'ENDING', 'FAILED', 'CANCELLED')),
    payment_status   text        NOT NULL CHECK (payment_status IN
                         ('NOT_STARTED', 'PENDING', 'UNKNOWN', 'SUCCESS', 'DECLINED', 'REFUNDING', 'REFUNDED', 'VOIDED')),
    inventory_status text        NOT NULL CHECK (inventory_status IN ('NOT_STARTED', 'RESERVED', 'RELEASED', 'OUT_OF_STOCK')),
    failure_reason   text        CHECK (failure_reason IN ('OUT_OF_STOCK', 'PAYMENT_FAILED', 'TIMED_OUT')),
    owes_stock       boolean     NOT NULL DEFAULT false,   -- ending, and inventory has yet to say that nothing is held
    owes_money       boolean     NOT NULL DEFAULT false,   -- ending, and payment has yet to say that nothing is held
    asked            text        NOT NULL DEFAULT '' CHECK (asked IN     -- orchestrated: what order has last asked another module for
                         ('', 'stock.reserve.requested', 'stock.release.requested', 'payment.charge.requested', 'payment.refund.requested')),
    total_minor      bigint      NOT NULL CHECK (total_minor >= 0),
    currency         text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    payment_method   text        NOT NULL CHECK (length(payment_method) BETWEEN 1 AND 128),
    version          bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    last_fact        uuid,                   -- the fact that led to this version; null while none was handled
    deadline         timestamptz NOT NULL,   -- when an order that has not ended is ended
    created_at       timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    CHECK ((ended_at IS NOT NULL) = (status IN ('COMPLETED', 'FAILED', 'CANCELLED'))),
    CHECK (failure_reason IS NULL OR status IN ('ENDING', 'FAILED', 'CANCELLED')),
    CHECK (failure_reason IS NOT NULL OR status <> 'FAILED'),
    CHECK (status = 'ENDING' OR NOT (owes_stock OR owes_money)),
    CHECK (status <> 'COMPLETED' OR (payment_status = 'SUCCESS' AND inventory_status = 'RESERVED')),
    CHECK (status NOT IN ('FAILED', 'CANCELLED') OR (inventory_status <> 'RESERVED'
           AND payment_status NOT IN ('SUCCESS', 'PENDING', 'UNKNOWN', 'REFUNDING')))
) WITH (fillfactor = 80);
CREATE INDEX orders_under_way ON orders.orders (deadline) WHERE ended_at IS NULL;
CREATE INDEX orders_under_way_by_id ON orders.orders (id) WHERE ended_at IS NULL;
CREATE INDEX orders_by_hold ON orders.orders (hold_id) WHERE ended_at IS NULL;   -- which of a customer's holds orders under way have

-- Rows end with their order.
CREATE TABLE orders.lines (
    order_id         uuid   NOT NULL,
    product_id       uuid   NOT NULL,
    sku              text   NOT NULL,
    name             text   NOT NULL,
    quantity         bigint NOT NULL CHECK (quantity > 0),
    unit_price_minor bigint NOT NULL CHECK (unit_price_minor >= 0),
    PRIMARY KEY (order_id, product_id)
);

-- What a customer is shown. The first version is written with the order, the others follow from facts.
-- Rows end with their order.
CREATE TABLE orders.view (
    id               uuid        PRIMARY KEY,
    customer         text        NOT NULL,
    strategy         text        NOT NULL,
    version          bigint      NOT NULL,
    status           text        NOT NULL,
    payment_status   text        NOT NULL,
    inventory_status text        NOT NULL,
    display_status   text        NOT NULL CHECK (display_status IN ('PROCESSING', 'AWAITING_PAYMENT', 'AWAITING_INVENTORY', 'COMPLETED',
                         'REFUND_IN_PROGRESS', 'REFUNDED', 'FAILED_PAYMENT', 'FAILED_OUT_OF_STOCK', 'FAILED_TIMED_OUT', 'CANCELLED')),
    failure_reason   text,
    lines            jsonb       NOT NULL,
    total_minor      bigint      NOT NULL,
    currency         text        NOT NULL,
    last_fact        uuid,
    created_at       timestamptz NOT NULL,
    ended_at         timestamptz
) WITH (fillfactor = 80);
CREATE INDEX view_by_customer ON orders.view (customer, id DESC);

-- Rows end a day after their order was made.
CREATE TABLE orders.idempotency_keys (
    customer    text        NOT NULL,
    key         text        NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    fingerprint bytea       NOT NULL CHECK (length(fingerprint) = 32),
    order_id    uuid        NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (customer, key)
);
CREATE INDEX idempotency_keys_by_expiry ON orders.idempotency_keys (expires_at);

-- What stays of an archived order, also when its month is dropped: so that it is told from one that never was.
-- Rows stay.
CREATE TABLE orders.archived (
    id       uuid PRIMARY KEY,
    customer text NOT NULL,
    month    date NOT NULL
);

-- +goose Down
DROP SCHEMA orders CASCADE;
