-- +goose Up
-- What operators have asked lanes for, and what came of it. A row is of no more use once its operator was answered.
CREATE TABLE inventory.restocks (
    id          uuid        PRIMARY KEY,   -- of the fact that asks
    state       text        NOT NULL DEFAULT 'ASKED' CHECK (state IN ('ASKED', 'DONE', 'REFUSED', 'GIVEN_UP')),
    available   bigint,                    -- REFUSED: the units that there are
    movement_id uuid,                      -- DONE
    asked_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX restocks_by_time ON inventory.restocks (asked_at);

-- +goose Down
DROP TABLE inventory.restocks;
