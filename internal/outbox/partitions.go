package outbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
)

// How far the partitions reach unless something else is said; how long a change of them waits for a lock, since whoever writes may wait behind it; and how long
// it may take in all.
const (
	ahead    = 3 * 24 * time.Hour
	slack    = time.Hour // for clocks, before now
	lockWait = "50ms"
	longest  = "10s"
)

// SQLSTATEs of a statement that has waited for as long as it may.
const (
	lockNotAvailable = "55P03"
	queryCanceled    = "57014" // by statement_timeout
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

// Keep says which partitions there are to be: those of the retentions, and those of the next days.
type Keep struct {
	Outbox, Inbox time.Duration // for how long their rows are kept
	Ahead         time.Duration // how far they reach; 0: three days
}

// KeepPartitions makes the partitions of outbox and inboxes that the next days need, and drops those that lie wholly before the
// retentions. Of the outbox nothing goes that the relay has not published.
//
// No reader or writer waits for it longer than 50 ms, whatever transactions are open: a partition is made apart and attached, which
// conflicts with neither, and detached concurrently before it is dropped. What others keep from being detached or dropped is left,
// and is done by a later call: left says what, and why. What fails otherwise does not keep the rest from being done.
func KeepPartitions(ctx context.Context, db *postgres.DB, keep Keep) (left []error, err error) {
	if err := db.InTx(ctx, func(pgx.Tx) error { return nil }); err != nil { // asks the context's fence
		return nil, err
	}
	// A connection of its own: these statements run in no transaction.
	conn, err := db.Connect(ctx, map[string]string{"statement_timeout": longest, "lock_timeout": lockWait})
	if err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	k := keeper{conn: conn, ahead: cmp.Or(keep.Ahead, ahead)}
	var ours bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('shared.partitions')), now()`).Scan(&ours, &k.now)
	if err == nil && !ours {
		return []error{errors.New("another instance looks after the partitions")}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("partitions: %w", err)
	}
	before := map[string]time.Time{"outbox": k.now.Add(-keep.Outbox), "inbox": k.now.Add(-keep.Inbox)}
	all := map[string][]partition{}
	for _, t := range tables { // before anything goes: making never waits for that
		if all[t.name], err = list(ctx, conn, t); err == nil {
			err = k.makeAll(ctx, t, all[t.name])
		}
		if err != nil {
			return nil, err
		}
	}
	for _, t := range tables {
		if err := k.dropAll(ctx, t, all[t.name], before[t.name]); err != nil {
			return nil, err
		}
	}
	return k.left, k.failed
}

// keeper changes partitions by a connection of its own.
type keeper struct {
	conn   *pgx.Conn
	ahead  time.Duration
	now    time.Time // on Postgres' clock
	left   []error
	failed error
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
	for lo := from.UTC().Truncate(t.width); lo.Before(k.now.Add(k.ahead)); lo = lo.Add(t.width) {
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

// dropAll ends the partitions that lie wholly before a moment, the oldest first, and none before an older one: what is kept has no holes.
// One whose detaching was broken off comes before all: Postgres detaches no other until that is done.
func (k *keeper) dropAll(ctx context.Context, t table, list []partition, before time.Time) error {
	pending := func(a, b partition) int {
		if a.pending != b.pending && a.pending {
			return -1
		} else if a.pending != b.pending {
			return 1
		}
		return 0
	}
	for _, p := range slices.SortedStableFunc(slices.Values(list), pending) {
		if detached, err := k.drop(ctx, t, p, before); err != nil || !detached {
			return err
		}
	}
	return nil
}

// drop ends a partition that lies wholly before a moment, as far as others let it, and reports whether it is none any more. Of one that
// somebody else was detaching nothing is lost: it is attached again by the next turn if it is needed.
func (k *keeper) drop(ctx context.Context, t table, p partition, before time.Time) (detached bool, err error) {
	goes := !p.from.Add(t.width).After(before)
	if goes && t.name == "outbox" {
		if goes, err = k.published(ctx, p); err != nil {
			return false, err
		}
	}
	if !goes && !p.pending {
		return false, nil
	}
	how := ` CONCURRENTLY`
	if p.pending {
		how = ` FINALIZE`
	}
	if p.attached && !k.could(ctx, `ALTER TABLE shared.`+t.name+` DETACH PARTITION shared.`+p.name+how) {
		return false, ctx.Err()
	}
	if goes {
		k.could(ctx, `DROP TABLE shared.`+p.name)
	} else {
		k.left = append(k.left, fmt.Errorf("shared.%s was being detached by somebody else: it is looked at again", p.name))
	}
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

// could runs a statement that others may hold up for as long as they like. It reports whether it was done; what they have held up is left
// for later: detaching that is broken off goes on with FINALIZE. Any other error is a failure, which no waiting mends.
func (k *keeper) could(ctx context.Context, sql string) bool {
	_, err := k.conn.Exec(ctx, sql)
	if err == nil {
		return true
	}
	err = fmt.Errorf("%s: %w", sql, err)
	switch postgres.Code(err) {
	case lockNotAvailable, queryCanceled:
		k.left = append(k.left, err)
	default:
		k.failed = errors.Join(k.failed, err)
	}
	return false
}

func (k *keeper) exec(ctx context.Context, sql string) error {
	if _, err := k.conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("partitions: %s: %w", sql, err)
	}
	return nil
}
