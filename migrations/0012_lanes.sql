-- +goose Up
ALTER TABLE shared.outbox ADD COLUMN part text NOT NULL DEFAULT '';
COMMENT ON COLUMN shared.outbox.part IS 'the last part of the routing key, of facts that one queue of several hears; else empty';

-- The lines of an order may be in several lanes, each of which takes its own: the order is GATHERING while they do, and RETURNING
-- while they give back. released_by says meanwhile that the order has given them up.
ALTER TABLE inventory.reservations
    ADD COLUMN lanes smallint NOT NULL DEFAULT 0 CHECK (lanes >= 0),   -- that the lines are in; 0: they are taken all at once
    ADD COLUMN open  smallint NOT NULL DEFAULT 0 CHECK (open >= 0),    -- lanes that were asked and have not answered
    ADD COLUMN taken smallint NOT NULL DEFAULT 0 CHECK (taken >= 0),   -- lanes that have taken their lines
    ADD COLUMN short jsonb,                                            -- lines that lanes could not have
    DROP CONSTRAINT reservations_state_check,
    DROP CONSTRAINT reservations_check1,
    ADD CONSTRAINT reservations_state_check CHECK (state IN ('GATHERING', 'RETURNING', 'RESERVED', 'OUT_OF_STOCK', 'RELEASED')),
    ADD CONSTRAINT reservations_released_by_check CHECK (released_by IS NULL OR state IN ('GATHERING', 'RETURNING', 'RELEASED')),
    ADD CONSTRAINT reservations_asked_check CHECK ((open > 0) = (state IN ('GATHERING', 'RETURNING')));
ALTER TABLE inventory.reservation_lines
    ADD COLUMN lane     smallint,                        -- in which it was taken; none: all lines were taken at once
    ADD COLUMN returned boolean NOT NULL DEFAULT false;  -- its lane has given it back

-- +goose Down
ALTER TABLE inventory.reservation_lines DROP COLUMN returned, DROP COLUMN lane;
ALTER TABLE inventory.reservations
    DROP CONSTRAINT reservations_asked_check, DROP CONSTRAINT reservations_released_by_check, DROP CONSTRAINT reservations_state_check,
    DROP COLUMN short, DROP COLUMN taken, DROP COLUMN open, DROP COLUMN lanes,
    ADD CONSTRAINT reservations_check1 CHECK (released_by IS NULL OR state = 'RELEASED'),
    ADD CONSTRAINT reservations_state_check CHECK (state IN ('RESERVED', 'OUT_OF_STOCK', 'RELEASED'));
ALTER TABLE shared.outbox DROP COLUMN part;
