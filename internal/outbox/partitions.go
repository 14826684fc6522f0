package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// How far the partitions reach; how long a change of them waits for a lock, since whoever writes may wait behind it; and how long
// it may take in all.
const (
	ahead    = 3 * 24 * time.Hour
	slack    = time.Hour // for clocks, before now
	lockWait = "50ms"
	longest  = "10s"
)

// table is a table of facts that is partitioned by time.
type table struct {
	name   string
	layout string // of its partitions' names, in UTC
	width  time.Duration
	bound  func(time.Time) string // a moment as the key has it, as an SQL literal
}

var tables = []table{
	{"outbox", "outbox_20060102_15", 6 * time.Hour, func(at time.Time) string { return "'" + at.UTC().Format(time.RFC3339) + "'" }},
	{"inbox", "inbox_20060102", 24 * time.Hour, func(at time.Time) string { return fmt.Sprintf("'%012x00000000000000000000'", at.UnixMilli()) }},
}

// partition is a table that is a partition, or was one, or is to become one.
type partition struct {
	name     string
	from     time.Time
	attached bool
	pending  bool // its detaching was broken off
}

// KeepPartitions makes the partitions of outbox and inboxes that the next days need, and drops those that lie wholly before the
// retentions. Of the outbox nothing goes that the relay has not published.
//
// No reader or writer waits for it longer than 50 ms, whatever transactions are open: a partition is made apart and attached, which
// conflicts with neither, and detached concurrently before it is dropped. What others keep from being detached or dropped is left,
// and is done by a later call: left says what, and why.
func KeepPartitions(ctx context.Context, db *postgres.DB, outboxRetention, inboxRetention time.Duration) (left []error, err error) {
	if err := db.InTx(ctx, func(pgx.Tx) error { return nil }); err != nil { // asks the context's fence
		return nil, err
	}
	// A connection of its own: these statements run in no transaction.
	conn, err := db.Connect(ctx, map[string]string{"statement_timeout": longest, "lock_timeout": lockWait})
	if err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	k := keeper{conn: conn}
	var ours bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('shared.partitions')), now()`).Scan(&ours, &k.now)
	if err == nil && !ours {
		return []error{errors.New("another instance looks after the partitions")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	before := map[string]time.Time{"outbox": k.now.Add(-outboxRetention), "inbox": k.now.Add(-inboxRetention)}
	all := map[string][]partition{}
	for _, t := range tables { // before anything goes: making never waits for that
		if all[t.name], err = k.list(ctx, t); err == nil {
			err = k.makeAll(ctx, t, all[t.name])
		}
		if err != nil {
			return nil, err
		}
	}
	for _, t := range tables {
		for _, p := range all[t.name] { // the oldest first, and none before an older one: what is kept has no holes
			detached, err := k.drop(ctx, t, p, before[t.name])
			if err != nil {
				return nil, err
			}
			if !detached {
				break
			}
		}
	}
	return k.left, nil
}

// keeper changes partitions by a connection of its own.
type keeper struct {
	conn *pgx.Conn
	now  time.Time // on Postgres' clock
	left []error
}

// list returns the partitions of a table, and tables that were or are to become some, by time.
func (k *keeper) list(ctx context.Context, t table) ([]partition, error) {
	rows, err := k.conn.Query(ctx, `
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

// makeAll makes and attaches what is missing from now on. Of the inbox, what is missing since its oldest too, or since a day ago if there
// is none, for facts on their way. Nothing before its oldest: that was dropped, and facts of its time must not be taken for new.
func (k *keeper) makeAll(ctx context.Context, t table, list []partition) error {
	from, there := k.now.Add(-slack), map[string]partition{}
	for _, p := range list {
		there[p.name] = p
	}
	switch {
	case t.name == "inbox" && len(list) > 0:
		from = list[0].from
	case t.name == "inbox":
		from = k.now.Add(-24 * time.Hour)
	}
	for lo := from.UTC().Truncate(t.width); lo.Before(k.now.Add(ahead)); lo = lo.Add(t.width) {
		name := lo.Format(t.layout)
		p, known := there[name]
		if p.attached {
			continue
		}
		if !known {
			if err := k.exec(ctx, `CREATE TABLE shared.`+name+` (LIKE shared.`+t.name+` INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)`); err != nil {
				return err
			}
		}
		if err := k.exec(ctx, `ALTER TABLE shared.`+t.name+` ATTACH PARTITION shared.`+name+` FOR VALUES FROM (`+t.bound(lo)+`) TO (`+t.bound(lo.Add(t.width))+`)`); err != nil {
			return err
		}
	}
	return nil
}

// drop ends a partition that lies wholly before a moment, as far as others let it, and reports whether it is none any more.
func (k *keeper) drop(ctx context.Context, t table, p partition, before time.Time) (detached bool, err error) {
	if p.from.Add(t.width).After(before) {
		return false, nil
	}
	if p.attached && !p.pending && t.name == "outbox" {
		published, err := k.published(ctx, p)
		if err != nil || !published {
			return false, err
		}
	}
	how := ` CONCURRENTLY`
	if p.pending {
		how = ` FINALIZE`
	}
	if p.attached && !k.could(ctx, `ALTER TABLE shared.`+t.name+` DETACH PARTITION shared.`+p.name+how) {
		return false, ctx.Err()
	}
	k.could(ctx, `DROP TABLE shared.`+p.name)
	return true, ctx.Err()
}

// published reports whether the relay has published everything that is in a partition of the outbox, and nobody is writing to it: what a
// transaction that is still open has put there is seen by no query, and would go with the partition once it commits.
func (k *keeper) published(ctx context.Context, p partition) (all bool, err error) {
	err = k.conn.QueryRow(ctx, `
		SELECT coalesce((SELECT xid FROM shared.`+p.name+` ORDER BY xid DESC LIMIT 1) < greatest(mark, pg_snapshot_xmax(snapshot)), true)
			AND NOT EXISTS (SELECT FROM pg_snapshot_xip(snapshot) AS open(xid) JOIN shared.`+p.name+` USING (xid) WHERE xid >= mark)
			AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
				WHERE l.relation = 'shared.`+p.name+`'::regclass AND l.mode = 'RowExclusiveLock')
		FROM shared.relay_mark`).Scan(&all)
	if err != nil {
		return false, fmt.Errorf("look whether %s is published: %w", p.name, err)
	}
	return all, nil
}

// could runs a statement that others may hold up for as long as they like. It reports whether it was done; what was not is left for
// later. Detaching that is broken off goes on later with FINALIZE.
func (k *keeper) could(ctx context.Context, sql string) bool {
	_, err := k.conn.Exec(ctx, sql)
	if err != nil {
		k.left = append(k.left, fmt.Errorf("%s: %w", sql, err))
	}
	return err == nil
}

func (k *keeper) exec(ctx context.Context, sql string) error {
	if _, err := k.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("partitions: %s: %w", sql, err)
	}
	return nil
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

// ErrRights says that the role of the connection may not look after partitions.
var ErrRights = errors.New("this role may not make partitions")

// CheckRights refuses a role that could not make partitions: it would be noticed when there are none left.
func CheckRights(ctx context.Context, db *postgres.DB) error {
	conn, err := db.Connect(ctx, nil)
	if err != nil {
		return fmt.Errorf("look at the rights of the role: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	var role string
	var owns, creates bool
	err = conn.QueryRow(ctx, `
		SELECT current_user, bool_and(pg_has_role(relowner, 'USAGE')), has_schema_privilege('shared', 'CREATE')
		FROM pg_class c WHERE oid IN ('shared.outbox'::regclass, 'shared.inbox'::regclass)
			OR EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid AND inhparent IN ('shared.outbox'::regclass, 'shared.inbox'::regclass))`).
		Scan(&role, &owns, &creates)
	switch {
	case err != nil:
		return fmt.Errorf("look at the rights of the role: %w", err)
	case !owns:
		return fmt.Errorf("%w: %s must own shared.outbox, shared.inbox and their partitions, or be a member of the role that does", ErrRights, role)
	case !creates:
		return fmt.Errorf("%w: %s needs CREATE on schema shared", ErrRights, role)
	}
	return nil
}
