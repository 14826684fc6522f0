package relay

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/event"
	"github.com/holdfast-checkout/holdfast/internal/lease"
)

const (
	page      = 500                    // rows that are read at once
	markPause = 200 * time.Millisecond // between writes of the mark while rows flow
)

// carry publishes the rows of a span, in the order of their transactions' ids, and holds no transaction while the broker
// confirms. As it goes, and when it is stopped, it has noted below which id every row that it found is published: whoever carries
// on then repeats few of very many rows.
func (b *belt) carry(ctx context.Context, s span, note func(ctx context.Context, below uint64) error) (count int, err error) {
	n := notes{note: note, at: time.Now()}
	defer func() {
		if err != nil { // ctx may not have ended yet when what it ends has
			inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), markWait)
			defer cancel()
			_ = note(inner, n.out.Load())
		}
	}()
	xid, id := s.from, uuid.Nil
	ended := len(s.left) > 0 // those first: they are older than all others
	if ended {
		xid = s.left[0]
	}
	for {
		rows, last, err := b.read(ctx, xid, id, s, ended)
		if err != nil {
			return count, err
		}
		if err := b.putAll(ctx, rows, n.take); err != nil {
			return count, err
		}
		count += len(rows)
		if len(rows) < page && ended {
			xid, id, ended = s.from, uuid.Nil, false
			continue
		}
		if len(rows) < page {
			return count, b.flush(ctx, n.take)
		}
		xid, id = last, rows[len(rows)-1].id
		b.checkpoint(func() { n.out.Store(last) })
		if err := n.take(ctx); err != nil {
			return count, err
		}
	}
}

// notes are of how far rows are out, taken from time to time, also while there is nothing to do but to wait for the broker.
type notes struct {
	out  atomic.Uint64
	at   time.Time
	note func(ctx context.Context, below uint64) error
}

func (n *notes) take(ctx context.Context) error {
	if time.Since(n.at) < markPause {
		return nil
	}
	err := n.note(ctx, n.out.Load())
	n.at = time.Now()
	return err
}

const begunSQL = `
	SELECT xid, id, strategy, name, part, body FROM shared.outbox
	WHERE (xid, id) > ($1::xid8, $2::uuid) AND xid < $3::xid8 AND NOT xid = ANY ($4::text[]::xid8[]) ORDER BY xid, id LIMIT $5`

// One look into the index for each transaction, which begins and ends within it, and no more than a page of each: they may be large.
const endedSQL = `
	SELECT f.* FROM unnest($3::text[]::xid8[]) AS ended(xid) CROSS JOIN LATERAL (
		SELECT o.xid, o.id, strategy, name, part, body FROM shared.outbox AS o
		WHERE o.xid = ended.xid
		  AND o.id > CASE WHEN ended.xid = $1::xid8 THEN $2::uuid ELSE '00000000-0000-0000-0000-000000000000' END
		ORDER BY o.xid, o.id LIMIT $4) AS f
	WHERE ended.xid >= $1::xid8 ORDER BY f.xid, f.id LIMIT $4`

// read gives the rows of a span that follow (xid, id), and the transaction of the last one.
func (b *belt) read(ctx context.Context, xid uint64, id uuid.UUID, s span, ended bool) ([]row, uint64, error) {
	sql, args := begunSQL, []any{xid, id, s.below, texts(s.open), page}
	if ended {
		sql, args = endedSQL, []any{xid, id, texts(s.left), page}
	}
	found, err := b.DB.Query(ctx, sql, args...)
	if err != nil {
		return nil, 0, fmt.Errorf("read outbox: %w", err)
	}
	last := xid
	rows, err := pgx.CollectRows(found, func(found pgx.CollectableRow) (row, error) {
		var r row
		var strategy, name, part string
		err := found.Scan(&last, &r.id, &strategy, &name, &part, &r.body)
		r.key = event.PartKey(strategy, event.Name(name), part)
		return r, err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read outbox: %w", err)
	}
	return rows, last, nil
}

// texts gives ids of transactions as Postgres reads them, in whatever mode of execution.
func texts(xids []uint64) []string {
	all := make([]string, len(xids))
	for i, xid := range xids {
		all[i] = strconv.FormatUint(xid, 10)
	}
	return all
}

// horizon is where reading can go on and how far.
type horizon struct {
	mark        uint64        // all below has been published
	slot        string        // whose stream carries on from the mark, "" for none
	lsn         pglogrepl.LSN // all that was committed before it has been published
	publication string        // its version when the mark was reached
	at          time.Time     // when the mark was last moved
	known       identity      // the server on which it was reached
	server      identity      // this server
	began       time.Time     // when this server was started
	xmin        uint64        // every transaction below has ended
	xmax        uint64        // no transaction from here on has begun
	published   extent        // what has been published, the mark included
	now         extent        // what has ended
}

func (r *Relay) horizon(ctx context.Context) (horizon, error) {
	var h horizon
	var lsn, published, now string
	err := r.DB.QueryRow(ctx, `
		SELECT mark, slot, lsn::text, publication, at, m.system, m.timeline, server.system, server.timeline, pg_postmaster_start_time(),
		       pg_snapshot_xmin(now.snapshot), pg_snapshot_xmax(now.snapshot), m.snapshot::text, now.snapshot::text
		FROM shared.relay_mark AS m, (SELECT pg_current_snapshot() AS snapshot) AS now, `+identitySQL+` AS server`).Scan(
		&h.mark, &h.slot, &lsn, &h.publication, &h.at, &h.known.system, &h.known.timeline, &h.server.system, &h.server.timeline, &h.began,
		&h.xmin, &h.xmax, &published, &now)
	if err != nil {
		return h, fmt.Errorf("read the relay's mark: %w", err)
	}
	if h.lsn, err = pglogrepl.ParseLSN(lsn); err == nil {
		h.published, err = parseExtent(published)
	}
	if err == nil {
		h.now, err = parseExtent(now)
	}
	if err != nil {
		return h, fmt.Errorf("read the relay's mark: %w", err)
	}
	h.published = h.published.and(h.mark)
	return h, nil
}

// advance notes what is published, nil: nothing new, and the position that goes with it. They never go back: a stream that begins
// before where the last one ended passes the same marks again.
func (r *Relay) advance(ctx context.Context, term lease.Term, out *extent, lsn pglogrepl.LSN) error {
	if out == nil {
		out = &extent{xmax: 1}
	}
	return r.fenced(ctx, term, "move the relay's mark", `
		UPDATE shared.relay_mark SET mark = greatest(mark, $1::xid8), lsn = greatest(lsn, $2::pg_lsn), at = clock_timestamp(),
			snapshot = CASE WHEN pg_snapshot_xmax(snapshot) <= pg_snapshot_xmax($3::text::pg_snapshot) THEN $3::text::pg_snapshot ELSE snapshot END
		WHERE mark < $1::xid8 OR lsn < $2::pg_lsn OR pg_snapshot_xmax(snapshot) < pg_snapshot_xmax($3::text::pg_snapshot)`,
		out.xmin(), lsn.String(), out.String())
}

// carriesOn says that the slot's stream carries on from the mark from now on: everything before lsn is published.
func (r *Relay) carriesOn(ctx context.Context, term lease.Term, publication string, lsn pglogrepl.LSN) error {
	return r.fenced(ctx, term, "note the relay's slot", `
		UPDATE shared.relay_mark SET slot = $1, publication = $2, lsn = $3::pg_lsn`, r.slot, publication, lsn.String())
}

// breaksOff says that rows at or above the mark may be in no stream. It needs no fence: at worst they are published again.
func (r *Relay) breaksOff(ctx context.Context) error {
	if _, err := r.DB.Exec(ctx, `UPDATE shared.relay_mark SET slot = '' WHERE slot <> ''`); err != nil {
		return fmt.Errorf("note that no slot carries on: %w", err)
	}
	return nil
}

// fenced does one write of a reader, and fails when its term is over.
func (r *Relay) fenced(ctx context.Context, term lease.Term, what, sql string, args ...any) error {
	err := lease.InTx(ctx, r.DB, term, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sql, args...)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
