-- +goose Up
-- Partitions are looked after by statements of their own, in no transaction: no function can detach one concurrently.
DROP FUNCTION shared.make_partitions();
DROP FUNCTION shared.drop_partitions(timestamptz, timestamptz);

-- +goose Down
-- Nothing calls the functions; the migrations before make theirs anew.
SELECT 1;
