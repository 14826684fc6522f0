package deadletter

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/clock"
)

// Action is something that was done about a letter.
type Action struct {
	ID     uuid.UUID `json:"id" validate:"required" format:"uuid"`
	Action string    `json:"action" validate:"required" enums:"replay,delete"`
	By     string    `json:"by" validate:"required"`                                                           // whose token it was
	Reason string    `json:"reason,omitempty"`                                                                 // why it was deleted
	Result string    `json:"result" validate:"required" enums:"asked,sent,not taken,heard,died again,deleted"` // asked: on its way to the broker; sent: in the module's queue
	At     time.Time `json:"at" validate:"required"`
} //	@name	DeadLetterAction

// History gives what was done about a letter, newest first. It is there when the letter is gone.
func (l *Letters) History(ctx context.Context, letter uuid.UUID) ([]Action, error) {
	rows, err := l.db.Query(ctx, `
		SELECT g.id, g.action, g.by, g.reason,
			CASE WHEN g.result = 'sent' AND EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = g.fact_id AND i.module = g.module)
				THEN 'heard' ELSE g.result END, g.at
		FROM shared.dead_letter_log g WHERE g.letter_id = $1 ORDER BY g.at DESC, g.id DESC LIMIT 100`, letter)
	if err != nil {
		return nil, fmt.Errorf("history of dead letter %s: %w", letter, err)
	}
	actions, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Action])
	if err != nil {
		return nil, fmt.Errorf("history of dead letter %s: %w", letter, err)
	}
	for i := range actions {
		actions[i].At = actions[i].At.UTC()
	}
	return actions, nil
}

// asked writes down that letters are to be replayed, before they are.
func (l *Letters) asked(ctx context.Context, letters []Letter, by string) ([]uuid.UUID, error) {
	n := len(letters)
	log, ids, facts, modules, names := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]*uuid.UUID, n), make([]string, n), make([]string, n)
	for i, letter := range letters {
		log[i], ids[i], facts[i], modules[i], names[i] = clock.NewID(), letter.ID, letter.FactID, letter.Module, letter.Name
	}
	_, err := l.db.Exec(ctx, `
		INSERT INTO shared.dead_letter_log (id, letter_id, fact_id, module, name, action, by, result)
		SELECT *, 'replay', $6, 'asked' FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[])`,
		log, ids, facts, modules, names, by)
	if err != nil {
		return nil, fmt.Errorf("note the replay of %d dead letters: %w", n, err)
	}
	return log, nil
}

// sent notes that letters have gone back to their modules, but for those that are dead letters again by now.
func (l *Letters) sent(ctx context.Context, log []uuid.UUID, letters []Letter, by string) error {
	ids, times := make([]uuid.UUID, len(letters)), make([]time.Time, len(letters))
	for i, letter := range letters {
		ids[i], times[i] = letter.ID, letter.At
	}
	_, err := l.db.Exec(ctx, `
		WITH done AS (UPDATE shared.dead_letter_log SET result = 'sent' WHERE id = ANY ($1) AND result = 'asked')
		UPDATE shared.dead_letters d SET replayed_at = now(), replayed_by = $4
		FROM unnest($2::uuid[], $3::timestamptz[]) AS s(id, at) WHERE d.id = s.id AND d.at = s.at`, log, ids, times, by)
	if err != nil {
		return fmt.Errorf("note the replay of %d dead letters: %w", len(letters), err)
	}
	return nil
}

// notTaken notes that the broker did not take letters in time. Some may have come into their queues all the same.
func (l *Letters) notTaken(ctx context.Context, log []uuid.UUID) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), replayTimeout)
	defer cancel()
	_, err := l.db.Exec(ctx, `UPDATE shared.dead_letter_log SET result = 'not taken' WHERE id = ANY ($1) AND result = 'asked'`, log)
	if err != nil {
		l.log.WarnContext(ctx, "replay not noted", "error", err)
	}
}

// deleted removes a letter and writes down who did so and why.
func (l *Letters) deleted(ctx context.Context, letter Letter, by, reason string) error {
	done, err := l.db.Exec(ctx, `
		WITH gone AS (DELETE FROM shared.dead_letters WHERE id = $2 RETURNING id, module, fact_id, order_id, name)
		INSERT INTO shared.dead_letter_log (id, letter_id, module, fact_id, order_id, name, action, by, reason, result)
		SELECT $1, id, module, fact_id, order_id, name, 'delete', $3, $4, 'deleted' FROM gone`, clock.NewID(), letter.ID, by, reason)
	if err != nil {
		return fmt.Errorf("delete dead letter %s: %w", letter.ID, err)
	}
	if done.RowsAffected() == 0 {
		return noSuchLetter()
	}
	return nil
}
