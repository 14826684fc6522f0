-- +goose Up
-- What the mark is worth: on which server and through which publication it was reached, and up to where in that server's log
-- everything is published. Whoever takes over compares, and publishes again from the mark what it cannot be sure of.
ALTER TABLE shared.relay_mark
    ADD COLUMN lsn         pg_lsn NOT NULL DEFAULT '0/0',   -- everything that was committed before it is published
    ADD COLUMN system      text   NOT NULL DEFAULT '',      -- the server's system identifier; '' until a relay has run
    ADD COLUMN timeline    bigint NOT NULL DEFAULT 0,
    ADD COLUMN publication text   NOT NULL DEFAULT '';      -- oid and version of the publication and of its table's entry

-- With the term in a key, a fence (FOR KEY SHARE) holds off the next term but not the renewal of this one.
CREATE UNIQUE INDEX leases_by_term ON shared.leases (name, term);

-- +goose Down
DROP INDEX shared.leases_by_term;
ALTER TABLE shared.relay_mark DROP COLUMN lsn, DROP COLUMN system, DROP COLUMN timeline, DROP COLUMN publication;
