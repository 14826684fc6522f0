package relay

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/lease"
)

// extent is a set of transactions that have ended: all below xmax but those in open. It is written as a pg_snapshot.
type extent struct {
	xmax uint64
	open []uint64 // ascending
}

// nothing is the extent of a mark alone.
const nothing = "1:1:"

// parseExtent reads the text form xmin:xmax:open,open.
func parseExtent(text string) (extent, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return extent{}, fmt.Errorf("snapshot %q", text)
	}
	xmax, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return extent{}, fmt.Errorf("snapshot %q: %w", text, err)
	}
	e := extent{xmax: xmax}
	if parts[2] == "" {
		return e, nil
	}
	for id := range strings.SplitSeq(parts[2], ",") {
		xid, err := strconv.ParseUint(id, 10, 64)
		if err != nil {
			return extent{}, fmt.Errorf("snapshot %q: %w", text, err)
		}
		e.open = append(e.open, xid)
	}
	return e, nil
}

func (e extent) String() string {
	ids := make([]string, len(e.open))
	for i, xid := range e.open {
		ids[i] = strconv.FormatUint(xid, 10)
	}
	return fmt.Sprintf("%d:%d:%s", e.xmin(), e.xmax, strings.Join(ids, ","))
}

// xmin is below which nothing is open: the mark that goes with an extent.
func (e extent) xmin() uint64 {
	if len(e.open) > 0 {
		return e.open[0]
	}
	return e.xmax
}

// and adds all transactions below a mark.
func (e extent) and(mark uint64) extent {
	return extent{
		xmax: max(e.xmax, mark),
		open: slices.DeleteFunc(slices.Clone(e.open), func(xid uint64) bool { return xid < mark }),
	}
}

// towards is how far publishing has come from one extent to a later one when everything below a transaction is out.
func (e extent) towards(now extent, below uint64) extent {
	next := extent{xmax: max(e.xmax, below)}
	for _, xid := range now.open {
		if xid < next.xmax {
			next.open = append(next.open, xid)
		}
	}
	for _, xid := range e.open {
		if xid >= below {
			next.open = append(next.open, xid)
		}
	}
	slices.Sort(next.open)
	next.open = slices.Compact(next.open)
	return next
}

// span is what is in one extent and not in an earlier one. It is never read as a range from the oldest open transaction, which
// may have been forgotten long ago.
type span struct {
	left        []uint64 // what was open and has ended
	from, below uint64   // what has begun since,
	open        []uint64 // but for these
}

func (e extent) until(now extent) span {
	left := slices.DeleteFunc(slices.Clone(e.open), func(xid uint64) bool { return slices.Contains(now.open, xid) })
	return span{left: left, from: e.xmax, below: now.xmax, open: now.open}
}

// published notes what is published. It never goes back, since each leader begins with what is noted.
func (r *Relay) published(ctx context.Context, term lease.Term, out extent) error {
	return r.fenced(ctx, term, "note what is published", `
		UPDATE shared.relay_mark SET mark = greatest(mark, $1::xid8), snapshot = $2::text::pg_snapshot, at = clock_timestamp()`,
		out.xmin(), out.String())
}
