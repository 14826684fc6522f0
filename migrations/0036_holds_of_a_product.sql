-- +goose Up
-- The holds of a product are read page by page, by the ids of carts, and the orders under way by their own.
CREATE INDEX lines_held ON cart.lines (product_id, cart_id) WHERE held;
DROP INDEX cart.lines_by_product;
CREATE INDEX orders_under_way_by_id ON orders.orders (id) WHERE ended_at IS NULL;

-- +goose Down
DROP INDEX orders.orders_under_way_by_id;
CREATE INDEX lines_by_product ON cart.lines (product_id) WHERE held;
DROP INDEX cart.lines_held;
