-- +goose Up
CREATE SCHEMA cart;

-- Rows end a day after they were closed or bought. A cart is closed when it has expired, or when it was emptied a day ago.
CREATE TABLE cart.carts (
    id            uuid        PRIMARY KEY,
    customer      text        NOT NULL CHECK (length(customer) BETWEEN 1 AND 128),
    state         text        NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'BOUGHT', 'DROPPED')),
    version       bigint      NOT NULL DEFAULT 1 CHECK (version > 0),    -- what the customer sees: one more for each change of the lines
    turn          bigint      NOT NULL DEFAULT 1 CHECK (turn > 0),       -- what writers are guarded by, and the version of the copy in Redis
    order_id      uuid        UNIQUE,                                    -- the order that bought it
    first_line_at timestamptz,                                           -- since when it holds units; null while it has no lines
    expires_at    timestamptz,                                           -- until when it holds them, to the millisecond
    tidied        smallint    NOT NULL DEFAULT 0 CHECK (tidied BETWEEN 0 AND 2),    -- once closed: 1 its copy is dropped, 2 its lines too
    created_at    timestamptz NOT NULL DEFAULT now(),
    changed_at    timestamptz NOT NULL DEFAULT now(),
    CHECK ((order_id IS NOT NULL) = (state = 'BOUGHT')),
    CHECK ((first_line_at IS NULL) = (expires_at IS NULL)),
    CHECK (expires_at > first_line_at),
    CHECK (tidied = 0 OR state <> 'OPEN')
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX carts_one_open ON cart.carts (customer) WHERE state = 'OPEN';
CREATE INDEX carts_open ON cart.carts (id) WHERE state = 'OPEN';                                  -- what a full reconciliation reads
CREATE INDEX carts_bought ON cart.carts (customer, changed_at) WHERE state = 'BOUGHT';
CREATE INDEX carts_by_change ON cart.carts (changed_at, id);
CREATE INDEX carts_by_expiry ON cart.carts (expires_at) WHERE state = 'OPEN';
CREATE INDEX carts_emptied ON cart.carts (changed_at) WHERE state = 'OPEN' AND expires_at IS NULL;
CREATE INDEX carts_closed ON cart.carts (tidied, changed_at) WHERE state <> 'OPEN';

-- Rows end a minute after their cart was bought, a day after it expired.
CREATE TABLE cart.lines (
    cart_id          uuid        NOT NULL,
    product_id       uuid        NOT NULL,
    quantity         bigint      NOT NULL CHECK (quantity BETWEEN 1 AND 1000000000),
    unit_price_minor bigint      NOT NULL CHECK (unit_price_minor >= 0),    -- the price last shown
    currency         text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    held             boolean     NOT NULL,                                  -- false: its units could not be had again
    added_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, product_id)
) WITH (fillfactor = 80);
CREATE INDEX lines_held ON cart.lines (product_id, cart_id) WHERE held;   -- a product's holds are read page by page, by the ids of carts

-- +goose Down
DROP SCHEMA cart CASCADE;
