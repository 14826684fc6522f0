package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/broker"
	"github.com/holdfast-checkout/holdfast/internal/fault"
)

// Letter is a dead letter as it is kept.
type Letter struct {
	ID         uuid.UUID
	Module     string
	FactID     *uuid.UUID // nil when it could not be read
	Name       string
	RoutingKey string
	Reason     string // one of package broker's reasons
	FirstError string
	LastError  string
	Attempts   int
	Body       []byte // the event as it was published
	At         time.Time
	ReplayedAt *time.Time // nil while nothing was done about it
}

// Position is where a page of the list begins: after the letter of that time and id.
type Position struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

// Keep writes letters. A fact that its module fails at again is the same letter, and open again.
func (l *Letters) Keep(ctx context.Context, letters []broker.DeadLetter) error {
	batch := &pgx.Batch{}
	for _, d := range letters {
		batch.Queue(`
			INSERT INTO shared.dead_letters
				(id, module, fact_id, name, routing_key, reason, first_error, last_error, attempts, body, at)
			VALUES ($1, $2, nullif($3, $12::uuid), $4, $5, $6, $7, $8, $9, $10, $11)
			ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, last_error = excluded.last_error, body = excluded.body,
				attempts = dead_letters.attempts + excluded.attempts, at = excluded.at, replayed_at = NULL
			WHERE dead_letters.at < excluded.at`,
			d.ID, d.Module, d.FactID, string(d.Name), d.RoutingKey, d.Reason, d.FirstError, d.LastError, d.Attempts, d.Body, d.At, uuid.Nil)
	}
	if err := l.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("keep %d dead letters: %w", len(letters), err)
	}
	return nil
}

const columns = `id, module, fact_id, name, routing_key, reason, first_error, last_error, attempts, body, at, replayed_at`

// List gives letters, newest first, from after a position on; nil is the beginning.
func (l *Letters) List(ctx context.Context, after *Position, limit int) ([]Letter, error) {
	from := Position{At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	if after != nil {
		from = *after
	}
	rows, err := l.db.Query(ctx, `
		SELECT `+columns+` FROM shared.dead_letters WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3`,
		from.At, from.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
}

// find gives one letter.
func (l *Letters) find(ctx context.Context, id uuid.UUID) (Letter, error) {
	rows, err := l.db.Query(ctx, `SELECT `+columns+` FROM shared.dead_letters WHERE id = $1`, id)
	if err != nil {
		return Letter{}, fmt.Errorf("find dead letter %s: %w", id, err)
	}
	letter, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Letter])
	if errors.Is(err, pgx.ErrNoRows) {
		return letter, fault.New(fault.NotFound, "There is no such dead letter.")
	}
	if err != nil {
		return letter, fmt.Errorf("find dead letter %s: %w", id, err)
	}
	return letter, nil
}

// replayed notes that a letter has gone back to its module, unless it is a dead letter again by now.
func (l *Letters) replayed(ctx context.Context, letter *Letter) error {
	now := time.Now().UTC()
	_, err := l.db.Exec(ctx, `UPDATE shared.dead_letters SET replayed_at = $3 WHERE id = $1 AND at = $2`, letter.ID, letter.At, now)
	if err != nil {
		return fmt.Errorf("note replay of dead letter %s: %w", letter.ID, err)
	}
	letter.ReplayedAt = &now
	return nil
}

func (l *Letters) remove(ctx context.Context, id uuid.UUID) error {
	done, err := l.db.Exec(ctx, `DELETE FROM shared.dead_letters WHERE id = $1`, id)
	if err != nil {
		return fmt.Errorf("delete dead letter %s: %w", id, err)
	}
	if done.RowsAffected() == 0 {
		return fault.New(fault.NotFound, "There is no such dead letter.")
	}
	return nil
}
