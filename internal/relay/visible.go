package relay

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

const (
	sightFirst = 2 * time.Millisecond   // between the first looks for a commit that is not visible yet
	sightMost  = 100 * time.Millisecond // between later ones
	sightTold  = time.Second            // after which a warning says that facts are held back
)

// snapshot is pg_current_snapshot() by the low halves of its transaction ids, which is what the log names them by. Ids that
// are compared are never 2^31 apart, so the halves are enough.
type snapshot struct {
	known   bool
	xmax    uint32
	running map[uint32]bool
}

// parseSnapshot reads the text form xmin:xmax:running,running.
func parseSnapshot(text string) (snapshot, error) {
	e, err := parseExtent(text)
	if err != nil {
		return snapshot{}, err
	}
	s := snapshot{known: true, xmax: uint32(e.xmax), running: map[uint32]bool{}}
	for _, xid := range e.open {
		s.running[uint32(xid)] = true
	}
	return s, nil
}

// sees reports whether others see what a committed transaction did. 0 stands for rows that were read from the table.
func (s snapshot) sees(xid uint32) bool {
	return xid == 0 || s.known && int32(xid-s.xmax) < 0 && !s.running[xid]
}

// sight holds facts back until others see their transactions. A commit is in the log, and decoded, before it is visible:
// for milliseconds on a busy server, for as long as it takes under a synchronous standby that does not answer. A handler
// that got such a fact would not find the order that it is about. One goroutine owns it.
type sight struct {
	*Relay
	conn *pgx.Conn // its own, so that it does not queue behind commits that wait
	last snapshot
}

// wait returns how many of the items, from the first on, may be sent. It returns when that is at least one.
func (v *sight) wait(ctx context.Context, items []item) (int, error) {
	if n := v.visible(items); n == len(items) {
		return n, nil
	}
	began, pause, told := time.Now(), sightFirst, false
	defer v.heldSince.Store(0)
	for {
		err := v.look(ctx)
		if n := v.visible(items); err == nil && n > 0 {
			return n, nil
		}
		v.heldSince.CompareAndSwap(0, began.UnixNano())
		if !told && time.Since(began) > sightTold && ctx.Err() == nil {
			told = true
			v.Log.Warn("facts are held back: their commits are in the log but not visible yet, as when a synchronous standby does not answer",
				"error", err)
		}
		if err := run.Pause(ctx, pause); err != nil {
			return 0, err
		}
		pause = min(2*pause, sightMost)
	}
}

// visible counts the items before the first whose transaction is not visible.
func (v *sight) visible(items []item) int {
	for n, i := range items {
		if !v.last.sees(i.row.xid) {
			return n
		}
	}
	return len(items)
}

// look takes a snapshot.
func (v *sight) look(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	if v.conn == nil {
		if v.conn, err = v.dedicated(ctx); err != nil {
			v.conn = nil
			return fmt.Errorf("look which commits are visible: %w", err)
		}
	}
	var text string
	err = v.conn.QueryRow(ctx, `SELECT pg_current_snapshot()::text`).Scan(&text)
	if err == nil {
		v.last, err = parseSnapshot(text)
	}
	if err != nil {
		v.close(ctx)
		return fmt.Errorf("look which commits are visible: %w", err)
	}
	return nil
}

func (v *sight) close(ctx context.Context) {
	if v.conn != nil {
		closeConn(ctx, v.conn)
		v.conn = nil
	}
}

// held returns for how long the reader has held facts back whose commits are not visible.
func (r *Relay) held() float64 {
	since := r.heldSince.Load()
	if since == 0 {
		return 0
	}
	return time.Since(time.Unix(0, since)).Seconds()
}
