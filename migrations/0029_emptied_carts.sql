-- +goose Up
-- What is swept of carts that were emptied and left alone.
CREATE INDEX carts_emptied ON cart.carts (changed_at) WHERE state = 'OPEN' AND expires_at IS NULL;

-- +goose Down
DROP INDEX cart.carts_emptied;
