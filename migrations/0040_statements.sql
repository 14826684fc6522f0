-- +goose Up
-- The carts that reconciling everything goes through, among a day of those that were bought.
CREATE INDEX carts_open ON cart.carts (id) WHERE state = 'OPEN';
-- Whether a run has come to its end lately.
CREATE INDEX reconciliations_by_end ON shared.reconciliations (ended_at) WHERE error = '' AND NOT dry_run;

-- +goose Down
DROP INDEX shared.reconciliations_by_end;
DROP INDEX cart.carts_open;
