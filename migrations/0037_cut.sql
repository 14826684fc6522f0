-- +goose Up
ALTER TABLE inventory.products ADD COLUMN cut_at timestamptz;
COMMENT ON COLUMN inventory.products.cut_at IS 'when an operator last took units away: holds from before may be of more than there is';

-- +goose Down
ALTER TABLE inventory.products DROP COLUMN cut_at;
