-- +goose Up

-- Orders that ended long ago.
CREATE SCHEMA archive;

-- Each order is one document of all its rows, so that a column that a later version adds is in it without a change here.
-- Rows end when an operator dumps and drops their partition, a month of their end in UTC.
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
-- Rows stay, one for each month.
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

-- +goose Down
DROP SCHEMA archive CASCADE;
