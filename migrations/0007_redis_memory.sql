-- +goose Up
-- What Redis must know to be the one whose memory is ours, up to now. It is told first; this is what it has acknowledged.
CREATE TABLE shared.redis_memory (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    epoch uuid        NOT NULL,                            -- changes whenever Redis begins anew
    beat  bigint      NOT NULL CHECK (beat >= 0),          -- grows every few seconds: a Redis that says less has gone back in time
    at    timestamptz NOT NULL                             -- a moment before Redis was told of the beat
);
INSERT INTO shared.redis_memory (epoch, beat, at) VALUES (gen_random_uuid(), 0, now());

-- +goose Down
DROP TABLE shared.redis_memory;
