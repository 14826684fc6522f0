package refill

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// pages are the rows of the outbox that follow a position, as far as they were read in one look. Several modules look through much
// the same, each of its own mark on: it is read once for all of them.
type pages struct {
	from  scan  // a position; rows are those behind it
	rows  []row // in order
	ended bool  // there are no more
	read  int   // rows, from the outbox
}

// mostSeen is how many rows are kept, some 150 bytes each.
const mostSeen = 20 * pageRows

func (a scan) compare(xid uint64, id [16]byte) int {
	return cmp.Or(cmp.Compare(a.xid, xid), bytes.Compare(a.id[:], id[:]))
}

// after gives a page of rows that follow a position; it is not known while more must be read for that.
func (p *pages) after(at scan) (some []row, known bool) {
	first, _ := slices.BinarySearchFunc(p.rows, at, func(r row, at scan) int {
		if at.compare(r.xid, r.id) < 0 {
			return 1
		}
		return -1 // the row is the position itself or before it
	})
	some = p.rows[first:]
	if len(some) < pageRows && !p.ended {
		return nil, false
	}
	return slices.Clone(some[:min(len(some), pageRows)]), true
}

// end is the position from which on nothing was read yet.
func (p *pages) end() scan {
	if len(p.rows) == 0 {
		return p.from
	}
	last := p.rows[len(p.rows)-1]
	return scan{xid: last.xid, id: last.id}
}

// said gives a page of what was said and published, after a position.
func (r *Refiller) said(ctx context.Context, s state, at scan, seen *pages) ([]row, error) {
	if at.compare(seen.from.xid, seen.from.id) < 0 || seen.end().compare(at.xid, at.id) < 0 && !seen.ended || len(seen.rows) > mostSeen {
		*seen = pages{from: at, read: seen.read}
	}
	for {
		if some, known := seen.after(at); known {
			return some, nil
		}
		more, err := r.readOutbox(ctx, s, seen.end())
		if err != nil {
			return nil, err
		}
		seen.rows, seen.ended, seen.read = append(seen.rows, more...), len(more) < pageRows, seen.read+len(more)
	}
}

// readOutbox reads a page of the outbox, the rows of all modules.
func (r *Refiller) readOutbox(ctx context.Context, s state, at scan) ([]row, error) {
	found, err := r.DB.Query(ctx, `
		SELECT id, at, octet_length(body), xid, strategy || '.' || name || CASE WHEN part <> '' THEN '.' || part ELSE '' END FROM shared.outbox
		WHERE (xid, id) > ($1::xid8, $2::uuid) AND xid < greatest($3::xid8, pg_snapshot_xmax($4::text::pg_snapshot))
		  AND (xid < $3::xid8 OR pg_visible_in_snapshot(xid, $4::text::pg_snapshot))
		ORDER BY xid, id LIMIT $5`, at.xid, at.id, s.Relayed, s.Published, pageRows)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	rows, err := pgx.CollectRows(found, func(found pgx.CollectableRow) (w row, err error) {
		err = found.Scan(&w.id, &w.at, &w.size, &w.xid, &w.key)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	return rows, nil
}
