-- +goose Up
-- Beside the mark, which no open transaction lets past itself: what polling has published, as the last snapshot of which
-- everything visible is out. The default says nothing: no transaction lies below.
ALTER TABLE shared.relay_mark ADD COLUMN snapshot pg_snapshot NOT NULL DEFAULT '1:1:';

-- +goose Down
ALTER TABLE shared.relay_mark DROP COLUMN snapshot;
