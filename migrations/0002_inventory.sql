-- +goose Up
CREATE SCHEMA inventory;

CREATE TABLE inventory.products (
    id               uuid        PRIMARY KEY,
    sku              text        NOT NULL UNIQUE CHECK (length(sku) BETWEEN 1 AND 64),
    name             text        NOT NULL CHECK (length(name) BETWEEN 1 AND 300),
    description      text        NOT NULL DEFAULT '' CHECK (length(description) <= 4000),
    unit_price_minor bigint      NOT NULL CHECK (unit_price_minor BETWEEN 0 AND 1000000000000),
    currency         text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version          bigint      NOT NULL DEFAULT 1 CHECK (version > 0),   -- of name, description and price; the ETag
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now()
);

-- The units of each product. One row change for each product and batch, guarded by the version.
CREATE TABLE inventory.stock (
    product_id uuid        PRIMARY KEY REFERENCES inventory.products,
    available  bigint      NOT NULL CHECK (available >= 0),   -- units that an order can still take
    allocated  bigint      NOT NULL CHECK (allocated >= 0),   -- units that orders have taken and not given back
    version    bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);   -- room for updates in place: no index holds what changes

-- The ledger: every change of available, with what is left after it. Insert only. The key is also the product's history in order.
CREATE TABLE inventory.movements (
    product_id uuid        NOT NULL REFERENCES inventory.stock,
    id         uuid        NOT NULL,                         -- UUIDv7
    kind       text        NOT NULL CHECK (kind IN ('opening', 'restock', 'adjust', 'reserve', 'release')),
    quantity   bigint      NOT NULL CHECK (quantity <> 0),   -- what was added to available
    balance    bigint      NOT NULL CHECK (balance >= 0),    -- available after it
    order_id   uuid,
    fact_id    uuid        NOT NULL,                         -- the fact that caused it; for opening, restock and adjust the one that says it
    reason     text        NOT NULL DEFAULT '' CHECK (length(reason) <= 500),
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (product_id, id),
    CHECK ((quantity > 0) = (kind IN ('opening', 'restock', 'release'))),
    CHECK ((order_id IS NOT NULL) = (kind IN ('reserve', 'release')))
);
-- An order takes a product once at most, and gives it back once at most.
CREATE UNIQUE INDEX movements_once ON inventory.movements (order_id, product_id, kind) WHERE order_id IS NOT NULL;
-- Which products changed since the last comparison.
CREATE INDEX movements_by_time ON inventory.movements USING brin (at) WITH (pages_per_range = 16);

-- What inventory did for each order: the row outlives the units, so that what comes late or twice does nothing.
CREATE TABLE inventory.reservations (
    order_id    uuid        PRIMARY KEY,
    state       text        NOT NULL CHECK (state IN ('RESERVED', 'OUT_OF_STOCK', 'RELEASED')),
    decided_by  uuid        NOT NULL,   -- the fact that made the row
    released_by uuid,                   -- the fact that gave back what was RESERVED
    decided_at  timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    CHECK ((released_by IS NULL) = (released_at IS NULL)),
    CHECK (released_by IS NULL OR state = 'RELEASED')
) WITH (fillfactor = 90);

-- Each line stands beside a movement of the same transaction, which refers to the product: said there once, because checking
-- a reference costs as much as writing the line.
CREATE TABLE inventory.reservation_lines (
    order_id   uuid   NOT NULL REFERENCES inventory.reservations,
    product_id uuid   NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

-- +goose Down
DROP SCHEMA inventory CASCADE;
