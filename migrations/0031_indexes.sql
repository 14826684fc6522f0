-- +goose Up
-- Which of a customer's holds orders under way have.
CREATE INDEX orders_by_hold ON orders.orders (hold_id) WHERE ended_at IS NULL;
-- A line is written with its reservation, in one transaction. Checking that costs as much as writing it, and reads a table whole that
-- Postgres has not analyzed yet; the auditor proves the same (S3).
ALTER TABLE inventory.reservation_lines DROP CONSTRAINT reservation_lines_order_id_fkey;

-- +goose Down
ALTER TABLE inventory.reservation_lines ADD CONSTRAINT reservation_lines_order_id_fkey FOREIGN KEY (order_id) REFERENCES inventory.reservations;
DROP INDEX orders.orders_by_hold;
