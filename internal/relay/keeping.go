package relay

import (
	"context"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/lease"
)

const (
	markEvery  = time.Second      // while rows flow
	markSettle = 3 * time.Second  // after the last row: a mark may be held down by a transaction that was still under way
	markIdle   = 10 * time.Second // so that an idle outbox does not pin the log
	markWait   = 2 * time.Second  // for one statement
	noteEvery  = 4                // notes of the position in the time of a mark while rows flow, and
	noteRows   = 1000             // rows after which it is noted at the latest: a crash has published again what came since
)

func (r *Relay) markPrefix() string { return r.slot + ".mark" }

// keepMark writes a mark into the log every second while rows flow and every ten seconds in any case, moves the stored mark
// when one has come out at the other end, and renews the term. A failure is made good by the next mark; only the end of the
// term, or a change of the publication, ends the reading.
func (s *reading) keepMark(ctx context.Context) error {
	ticker, often := time.NewTicker(s.markEvery), time.NewTicker(s.markEvery/noteEvery)
	defer ticker.Stop()
	defer often.Stop()
	var flowed int64
	var seen int64 = -1       // a new reader does not know what was published since the last mark
	var at, changed time.Time // of the last mark, and of the last look that found new rows
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.marked:
		case <-often.C:
			rows := s.rows.Load()
			if rows == flowed {
				continue
			}
			flowed = rows
		case <-ticker.C:
			if err := s.note(ctx, "term not renewed", func(ctx context.Context) error { return s.Lease.Renew(ctx, s.term) }); ends(err) {
				return err
			}
			if rows := s.rows.Load(); rows != seen {
				seen, changed = rows, time.Now()
			}
			if at.Before(changed.Add(markSettle)) || time.Since(at) >= markIdle {
				err := s.note(ctx, "mark not written", s.emitMark)
				if ends(err) {
					return err
				}
				if err == nil {
					at = time.Now()
				}
			}
		}
		if err := s.note(ctx, "mark not moved", s.moveMark); ends(err) {
			return err
		}
	}
}

// moveMark stores how far everything is published.
func (s *reading) moveMark(ctx context.Context) error {
	mark, position := s.mark.Load(), s.confirmed.Load()
	if s.waiting() || mark == s.notedMark && position == s.noted.Load() {
		return nil
	}
	err := s.advance(ctx, s.term, mark, pglogrepl.LSN(position))
	if err == nil {
		s.notedMark = mark
		s.noted.Store(position)
	}
	return err
}

// emitMark writes the mark into the log, as a snapshot. Every transaction that is visible in it has ended, so its commit lies before
// this one's, and this one is decoded after them all: a transaction that stays open holds up nothing but itself. It is written only while the publication is the one with which the
// stream began: then no row below the mark can be missing in the stream.
func (s *reading) emitMark(ctx context.Context) error {
	done, err := s.DB.Exec(ctx, `SELECT pg_logical_emit_message(true, $1, pg_current_snapshot()::text) WHERE $2 = `+version,
		s.markPrefix(), s.publication)
	if err == nil && done.RowsAffected() == 0 {
		return errPublication
	}
	return err
}

// note does what may fail for a while, within a time, and logs it when it does.
func (r *Relay) note(ctx context.Context, what string, do func(context.Context) error) error {
	inner, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	err := do(inner)
	if err != nil && ctx.Err() == nil {
		r.Log.Warn(what, "error", err)
	}
	return err
}

// ends says whether an error ends a reading, and is not made good by the next attempt.
func ends(err error) bool { return lease.Over(err) || err == errPublication } //nolint:errorlint // it is ours, unwrapped
