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

// mostBody is how many bytes of a body a list shows.
const mostBody = 4 << 10

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
	Body       []byte // the event as it was published; in a list, its first 4 KiB
	Size       int    // bytes of the whole body
	At         time.Time
	ReplayedAt *time.Time // nil while nothing was done about it
	ReplayedBy *string
	Heard      bool // its module has heard the fact meanwhile
}

// Filter says which letters are meant; an empty field leaves it open.
type Filter struct {
	Module string
	Type   string // name of the fact
	Reason string
	Open   bool // only those that nobody has replayed
}

// Position is where a page of the list begins: after the letter of that time and id.
type Position struct {
	At time.Time `json:"at"`
	ID uuid.UUID `json:"id"`
}

// Keep writes letters. A fact that its module fails at again is the same letter, and open again; a replay of it has come to
// nothing.
func (l *Letters) Keep(ctx context.Context, letters []broker.DeadLetter) error {
	batch := &pgx.Batch{}
	for _, d := range letters {
		batch.Queue(`
			WITH kept AS (
				INSERT INTO shared.dead_letters
					(id, module, fact_id, name, routing_key, reason, first_error, last_error, attempts, body, at, order_id)
				VALUES ($1, $2, nullif($3, $12::uuid), $4, $5, $6, $7, $8, $9, $10, $11, nullif($13, $12::uuid))
				ON CONFLICT (id) DO UPDATE SET reason = excluded.reason, last_error = excluded.last_error, body = excluded.body,
					attempts = dead_letters.attempts + excluded.attempts, at = excluded.at, replayed_at = NULL
				WHERE dead_letters.at < excluded.at
				RETURNING id)
			UPDATE shared.dead_letter_log g SET result = 'died again' FROM kept
			WHERE g.letter_id = kept.id AND g.action = 'replay' AND g.result IN ('asked', 'sent')`,
			d.ID, d.Module, d.FactID, string(d.Name), d.RoutingKey, d.Reason, d.FirstError, d.LastError, d.Attempts, d.Body, d.At, uuid.Nil, d.OrderID)
	}
	if err := l.db.SendBatch(ctx, batch).Close(); err != nil {
		return fmt.Errorf("keep %d dead letters: %w", len(letters), err)
	}
	return nil
}

// columns of a letter d, with the first bytes of its body up to a limit.
func columns(body string) string {
	return `d.id, d.module, d.fact_id, d.name, d.routing_key, d.reason, d.first_error, d.last_error, d.attempts, ` + body + `,
		octet_length(d.body), d.at, d.replayed_at, d.replayed_by,
		EXISTS (SELECT FROM shared.inbox i WHERE i.fact_id = d.fact_id AND i.module = d.module)`
}

// meant is the condition of a Filter on a letter d, whose fields are the arguments from $1 on.
const meant = `($1 = '' OR d.module = $1) AND ($2 = '' OR d.name = $2) AND ($3 = '' OR d.reason = $3) AND (NOT $4 OR d.replayed_at IS NULL)`

func (f Filter) args(more ...any) []any {
	return append([]any{f.Module, f.Type, f.Reason, f.Open}, more...)
}

// List gives letters, newest first, from after a position on; nil is the beginning.
func (l *Letters) List(ctx context.Context, which Filter, after *Position, limit int) ([]Letter, error) {
	from := Position{At: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	if after != nil {
		from = *after
	}
	rows, err := l.db.Query(ctx, `
		SELECT `+columns(`substring(d.body FROM 1 FOR $8)`)+` FROM shared.dead_letters d
		WHERE `+meant+` AND (d.at, d.id) < ($5, $6) ORDER BY d.at DESC, d.id DESC LIMIT $7`,
		which.args(from.At, from.ID, limit, mostBody)...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return letters, nil
}

// Find gives one letter, with the whole of its body.
func (l *Letters) Find(ctx context.Context, id uuid.UUID) (Letter, error) {
	rows, err := l.db.Query(ctx, `SELECT `+columns(`d.body`)+` FROM shared.dead_letters d WHERE d.id = $1`, id)
	if err != nil {
		return Letter{}, fmt.Errorf("find dead letter %s: %w", id, err)
	}
	letter, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Letter])
	if errors.Is(err, pgx.ErrNoRows) {
		return letter, noSuchLetter()
	}
	if err != nil {
		return letter, fmt.Errorf("find dead letter %s: %w", id, err)
	}
	return letter, nil
}

func noSuchLetter() error { return fault.New(fault.NotFound, "There is no such dead letter.") }

const (
	pageLetters = 200     // letters that are replayed at once
	pageBytes   = 8 << 20 // and bytes of their bodies; one letter at least
)

// page gives the oldest letters that are meant, after a position and not younger than a time, of modules that hear.
func (l *Letters) page(ctx context.Context, which Filter, after Position, until time.Time) ([]Letter, error) {
	hears := make([]string, 0, len(l.topology.Queues))
	for module := range l.topology.Queues {
		hears = append(hears, module)
	}
	rows, err := l.db.Query(ctx, `
		SELECT `+columns(`d.body`)+` FROM (
			SELECT p.*, sum(octet_length(p.body)) OVER (ORDER BY p.at, p.id) - octet_length(p.body) AS before
			FROM (SELECT * FROM shared.dead_letters d
				WHERE `+meant+` AND (d.at, d.id) > ($5, $6) AND d.at <= $7 AND d.module = ANY ($8)
				ORDER BY d.at, d.id LIMIT $9) AS p) AS d
		WHERE d.before < $10 ORDER BY d.at, d.id`,
		which.args(after.At, after.ID, until, hears, pageLetters, pageBytes)...)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	letters, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Letter])
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return letters, nil
}

// count gives how many letters are meant.
func (l *Letters) count(ctx context.Context, which Filter) (n int, err error) {
	err = l.db.QueryRow(ctx, `SELECT count(*) FROM shared.dead_letters d WHERE `+meant, which.args()...).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count dead letters: %w", err)
	}
	return n, nil
}

// Clean removes letters that went back to their modules longer ago than the retention, and what was done about letters that are
// gone since, when that is older than what is done is remembered. A letter that nobody has replayed or given up stays, however old
// it is. It answers how many rows went.
func (l *Letters) Clean(ctx context.Context, retention, remembered time.Duration) (int64, error) {
	letters, err := l.db.InSteps(ctx, `
		DELETE FROM shared.dead_letters WHERE id = ANY (ARRAY(
			SELECT id FROM shared.dead_letters WHERE replayed_at < now() - $1::interval ORDER BY replayed_at LIMIT $2))`, retention)
	if err != nil {
		return letters, fmt.Errorf("clean dead letters: %w", err)
	}
	log, err := l.db.InSteps(ctx, `
		DELETE FROM shared.dead_letter_log WHERE id = ANY (ARRAY(
			SELECT g.id FROM shared.dead_letter_log g WHERE g.at < now() - $1::interval
			AND (SELECT d.id FROM shared.dead_letters d WHERE d.id = g.letter_id) IS NULL ORDER BY g.at LIMIT $2))`, remembered)
	if err != nil {
		return letters + log, fmt.Errorf("clean what was done about dead letters: %w", err)
	}
	return letters + log, nil
}
