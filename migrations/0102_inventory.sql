-- +goose Up
CREATE SCHEMA inventory;

-- The catalogue.
-- Rows stay: orders and movements name them.
CREATE TABLE inventory.products (
    id               uuid        PRIMARY KEY,
    sku              text        NOT NULL UNIQUE CHECK (length(sku) BETWEEN 1 AND 64),
    name             text        NOT NULL CHECK (length(name) BETWEEN 1 AND 300),
    description      text        NOT NULL DEFAULT '' CHECK (length(description) <= 4000),
    unit_price_minor bigint      NOT NULL CHECK (unit_price_minor BETWEEN 0 AND 1000000000000),
    currency         text        NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    version          bigint      NOT NULL DEFAULT 1 CHECK (version > 0),   -- of name, description and price; the ETag
    cut_at           timestamptz,                                          -- when an operator last took units away: holds from before may be of more than there is
    created_at       timestamptz NOT NULL DEFAULT now(),
    changed_at       timestamptz NOT NULL DEFAULT now()
);

-- Rows here and in other tables are written beside the one that they refer to, in one transaction, and have no foreign key to it.
-- Checking that costs as much as writing the row, and where Postgres has last analyzed a table when it was small, each check reads
-- the table whole. The auditor proves the same (O1, O2, S2, S3).

-- The units of each product. One row change for each product and batch, guarded by the version.
-- Rows stay, one for each product.
CREATE TABLE inventory.stock (
    product_id uuid        PRIMARY KEY,
    available  bigint      NOT NULL CHECK (available >= 0),   -- units that an order can still take
    allocated  bigint      NOT NULL CHECK (allocated >= 0),   -- units that orders have taken and not given back
    version    bigint      NOT NULL DEFAULT 1 CHECK (version > 0),
    changed_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);   -- room for updates in place: no index holds what changes

-- The ledger: every change of available, with the balance after it. Insert only. The key is also the product's history in order.
-- Rows end when their order is archived; those of operators stay.
CREATE TABLE inventory.movements (
    product_id uuid        NOT NULL,
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

-- A movement leads from one balance to another. Whatever their order, the links of a product's movements from nothing to what is
-- available sum to the link from nothing to that; hashed, so that no other movements do.
-- +goose StatementBegin
CREATE FUNCTION inventory.link(before bigint, after bigint) RETURNS numeric LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT hashint8extended(after, 41)::numeric - hashint8extended(before, 41)::numeric
$$;
-- +goose StatementEnd

-- What the movements of archived orders come to for each product.
-- Rows stay, one for each product.
CREATE TABLE inventory.carried (
    product_id uuid    PRIMARY KEY,
    taken      bigint  NOT NULL CHECK (taken >= 0),       -- units that they took and did not give back
    movements  bigint  NOT NULL CHECK (movements > 0),
    chain      numeric NOT NULL                           -- what they leave open in the chain of balances: the sum of their links
);

-- What inventory did for each order: the row outlives the units, so that a fact that comes late or twice has no effect. The lines of
-- an order may be in several lanes, each of which takes its own: the order is GATHERING while they do, and RETURNING while they
-- give back; released_by says meanwhile that the order has given them up.
-- Rows end when their order is archived.
CREATE TABLE inventory.reservations (
    order_id    uuid        PRIMARY KEY,
    state       text        NOT NULL,
    decided_by  uuid        NOT NULL,                                 -- the fact that made the row
    released_by uuid,                                                 -- the fact that gave back what was taken
    decided_at  timestamptz NOT NULL DEFAULT now(),
    released_at timestamptz,
    lanes       smallint    NOT NULL DEFAULT 0 CHECK (lanes >= 0),    -- that the lines are in; 0: they are taken all together
    open        smallint    NOT NULL DEFAULT 0 CHECK (open >= 0),     -- lanes that were asked and have not answered
    taken       smallint    NOT NULL DEFAULT 0 CHECK (taken >= 0),    -- lanes that have taken their lines
    short       jsonb,                                                -- lines that lanes could not have
    CONSTRAINT reservations_state_check CHECK (state IN ('GATHERING', 'RETURNING', 'RESERVED', 'OUT_OF_STOCK', 'RELEASED')),
    CONSTRAINT reservations_check CHECK ((released_by IS NULL) = (released_at IS NULL)),
    CONSTRAINT reservations_released_by_check CHECK (released_by IS NULL OR state IN ('GATHERING', 'RETURNING', 'RELEASED')),
    CONSTRAINT reservations_asked_check CHECK ((open > 0) = (state IN ('GATHERING', 'RETURNING')))
) WITH (fillfactor = 90);

-- The lines that were reserved. Each stands beside a movement of the same transaction.
-- Rows end when their order is archived.
CREATE TABLE inventory.reservation_lines (
    order_id   uuid     NOT NULL,
    product_id uuid     NOT NULL,
    quantity   bigint   NOT NULL CHECK (quantity > 0),
    lane       smallint,                         -- in which it was taken; none: all lines were taken together
    returned   boolean  NOT NULL DEFAULT false,  -- its lane has given it back
    PRIMARY KEY (order_id, product_id)
);

-- +goose Down
DROP SCHEMA inventory CASCADE;
