package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// querier is a pool or a connection.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// list returns the partitions of a table, and tables that were or are to become some, by time.
func list(ctx context.Context, db querier, t table) ([]partition, error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname, i.inhrelid IS NOT NULL, coalesce(i.inhdetachpending, false)
		FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND i.inhparent = ('shared.' || $1)::regclass
		WHERE c.relnamespace = 'shared'::regnamespace AND c.relkind = 'r' AND c.relname ~ ('^' || $1 || '_[0-9]{8}(_[0-9]{2})?$') ORDER BY 1`, t.name)
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (p partition, err error) {
		if err := row.Scan(&p.name, &p.attached, &p.pending); err != nil {
			return p, err
		}
		p.from, err = time.Parse(t.layout, p.name)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("list partitions of %s: %w", t.name, err)
	}
	return list, nil
}

// Reach is how far the partitions reach: what is written later finds no place.
type Reach struct {
	Outbox time.Time `json:"outbox" validate:"required"`
	Inbox  time.Time `json:"inbox" validate:"required"`
} //	@name	PartitionReach

// ReadReach looks how far the partitions reach without a gap from now on, and on which side of now by Postgres' clock.
func ReadReach(ctx context.Context, db *postgres.DB) (r Reach, now time.Time, err error) {
	rows, err := db.Query(ctx, `
		SELECT c.relname, now() FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass) AND NOT i.inhdetachpending ORDER BY c.relname`)
	if err != nil {
		return r, now, fmt.Errorf("read the reach of partitions: %w", err)
	}
	defer rows.Close()
	until := []*time.Time{&r.Outbox, &r.Inbox}
	for rows.Next() {
		var name string
		if err := rows.Scan(&name, &now); err != nil {
			return r, now, fmt.Errorf("read the reach of partitions: %w", err)
		}
		for i, t := range tables {
			from, err := time.Parse(t.layout, name)
			if err == nil && (from.Equal(*until[i]) || !from.After(now) && from.Add(t.width).After(now)) {
				*until[i] = from.Add(t.width)
			}
		}
	}
	return r, now, rows.Err()
}

// Left is the partitions of a table whose time is over and that are still there.
type Left struct {
	Table      string    `json:"table" validate:"required" enums:"outbox,inbox"`
	Partitions int       `json:"partitions" validate:"required"`
	Oldest     string    `json:"oldest" validate:"required"`
	Since      time.Time `json:"since" validate:"required"` // when the time of the oldest was over
	State      string    `json:"state" validate:"required" enums:"attached,detaching,detached"`
	Reader     *Reader   `json:"reader,omitempty"` // for which the oldest waits; absent: for what is in it to be published, or for the next turn
} //	@name	PartitionsLeft

// Reader is a transaction that keeps a partition from going: it has read it, or may yet do so.
type Reader struct {
	PID         int32      `json:"pid,omitempty"`         // of its session
	GID         string     `json:"gid,omitempty"`         // of a prepared transaction, which has no session
	Application string     `json:"application,omitempty"` // as its session calls itself
	Since       *time.Time `json:"since,omitempty"`       // absent: only a role with pg_read_all_stats is told
} //	@name	PartitionReader

// States of what is left: not begun with, detached for all who come from now on, and a table of its own.
const (
	attached  = "attached"
	detaching = "detaching"
	detached  = "detached"
)

// ReadLeft looks which partitions are still there though their time is over by Postgres' clock, and who reads them.
func ReadLeft(ctx context.Context, db *postgres.DB, keep Keep) (all []Left, now time.Time, err error) {
	if err := db.QueryRow(ctx, `SELECT now()`).Scan(&now); err != nil {
		return nil, now, fmt.Errorf("ask for the time: %w", err)
	}
	all = []Left{}
	for i, kept := range []time.Duration{keep.Outbox, keep.Inbox} {
		t := tables[i]
		there, err := list(ctx, db, t)
		if err != nil {
			return nil, now, err
		}
		left := Left{Table: t.name, State: attached}
		for _, p := range there {
			if over := p.from.Add(t.width + kept); over.After(now) {
				break
			} else if left.Partitions++; left.Partitions == 1 {
				left.Oldest, left.Since = p.name, over
				left.State = p.state()
			}
		}
		if left.Partitions == 0 {
			continue
		}
		if left.Reader, err = readReader(ctx, db, left); err != nil {
			return nil, now, err
		}
		all = append(all, left)
	}
	return all, now, nil
}

func (p partition) state() string {
	switch {
	case !p.attached:
		return detached
	case p.pending:
		return detaching
	}
	return attached
}

// readerSQL names the oldest transaction that a partition waits for. To detach it, Postgres waits for whoever has a lock of the table or of
// the partition, and for every snapshot; to drop it, for those who have a lock of it. What has just begun will most likely end by itself.
const readerSQL = `
	WITH locks AS (
		SELECT pid, virtualtransaction FROM pg_locks
		WHERE granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
		  AND relation IN (to_regclass('shared.' || $2::text), CASE WHEN $3 THEN to_regclass('shared.' || $1::text) END))
	SELECT pid, gid, application, since FROM (
		SELECT pid, '' AS gid, coalesce(application_name, '') AS application, xact_start AS since FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid() AND (pid IN (SELECT pid FROM locks)
			OR $3 AND backend_xmin IS NOT NULL AND backend_type IS DISTINCT FROM 'autovacuum worker')
		UNION ALL SELECT 0, gid, '', prepared FROM pg_prepared_xacts
		WHERE '-1/' || transaction IN (SELECT virtualtransaction FROM locks)) AS open
	WHERE coalesce(since < clock_timestamp() - interval '2 seconds', true) ORDER BY since LIMIT 1`

// readReader gives the transaction for which the oldest of what is left waits, or nil.
func readReader(ctx context.Context, db *postgres.DB, left Left) (*Reader, error) {
	if left.State == attached {
		return nil, nil
	}
	var r Reader
	err := db.QueryRow(ctx, readerSQL, left.Table, left.Oldest, left.State == detaching).Scan(&r.PID, &r.GID, &r.Application, &r.Since)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look who reads %s: %w", left.Oldest, err)
	}
	return &r, nil
}
