-- +goose Up

-- Facts that came back to their queue again and again and are heard alone: a row is there from before a module hears one until it
-- came back, whatever came of it. A row that is found says how often a process died in between.
CREATE TABLE shared.hearings (
    module  text        NOT NULL,
    fact_id uuid        NOT NULL,
    begun   int         NOT NULL CHECK (begun > 0), -- times that it was begun and did not come back
    at      timestamptz NOT NULL DEFAULT now(),     -- of the last
    PRIMARY KEY (module, fact_id)
);

-- +goose Down
DROP TABLE shared.hearings;
