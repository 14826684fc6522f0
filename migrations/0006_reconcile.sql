-- +goose Up
-- Every comparison of Redis with Postgres, and what came of it. Rows go after 30 days.
CREATE TABLE shared.reconciliations (
    id         uuid             PRIMARY KEY,                   -- UUIDv7
    scope      text             NOT NULL CHECK (scope IN ('delta', 'full')),
    everything boolean          NOT NULL,                      -- also of a delta that had nothing to begin from
    dry_run    boolean          NOT NULL,
    term       bigint           NOT NULL CHECK (term > 0),     -- of the lease under which it ran
    started_at timestamptz      NOT NULL DEFAULT now(),
    ended_at   timestamptz,                                    -- null while it runs, and for one that died
    seconds    double precision NOT NULL DEFAULT 0,
    compared   bigint           NOT NULL DEFAULT 0,
    drifted    bigint           NOT NULL DEFAULT 0,
    repaired   bigint           NOT NULL DEFAULT 0,
    error      text             NOT NULL DEFAULT '',           -- why it did not come to its end
    CHECK (repaired <= drifted)
);

-- What differed.
CREATE TABLE shared.reconciliation_differences (
    run_id   uuid        NOT NULL REFERENCES shared.reconciliations ON DELETE CASCADE,
    n        int         NOT NULL CHECK (n > 0),
    pair     text        NOT NULL CHECK (pair IN ('stock', 'holds', 'cart')),
    key      text        NOT NULL,
    redis    text        NOT NULL,
    postgres text        NOT NULL,
    action   text        NOT NULL CHECK (action IN ('repaired', 'left', 'would_repair')),
    at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (run_id, n)
);

-- Until when everything has been compared, and the word that Redis keeps for as long as it keeps its memory.
CREATE TABLE shared.reconcile_mark (
    one   boolean     PRIMARY KEY DEFAULT true CHECK (one),
    mark  timestamptz NOT NULL,
    epoch uuid        NOT NULL
);

-- +goose Down
DROP TABLE shared.reconcile_mark;
DROP TABLE shared.reconciliation_differences;
DROP TABLE shared.reconciliations;
