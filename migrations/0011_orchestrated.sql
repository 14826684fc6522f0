-- +goose Up
ALTER TABLE orders.orders ADD COLUMN asked text NOT NULL DEFAULT '' CHECK (asked IN
    ('', 'stock.reserve.requested', 'stock.release.requested', 'payment.charge.requested', 'payment.refund.requested'));
COMMENT ON COLUMN orders.orders.asked IS 'orchestrated: what order has last asked another module for';

-- +goose Down
ALTER TABLE orders.orders DROP COLUMN asked;
