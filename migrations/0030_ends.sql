-- +goose Up
-- What rows are found by that have had their time.
CREATE INDEX attempts_by_time ON payment.attempts (at);
CREATE INDEX hearings_by_time ON shared.hearings (at);
CREATE INDEX reconciliations_by_time ON shared.reconciliations (started_at);
CREATE INDEX dead_letters_replayed ON shared.dead_letters (replayed_at) WHERE replayed_at IS NOT NULL;
CREATE INDEX dead_letter_log_by_time ON shared.dead_letter_log (at);

-- +goose Down
DROP INDEX shared.dead_letter_log_by_time;
DROP INDEX shared.dead_letters_replayed;
DROP INDEX shared.reconciliations_by_time;
DROP INDEX shared.hearings_by_time;
DROP INDEX payment.attempts_by_time;
