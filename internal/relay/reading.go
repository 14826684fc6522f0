package relay

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
)

const (
	ackEvery  = time.Second           // at the latest, also when nothing was confirmed
	ackSoon   = 50 * time.Millisecond // after a confirm
	markEvery = time.Second           // while rows flow
	markTimes = 3                     // after the last row: one may be held down by a transaction that was still under way
	markIdle  = 10 * time.Second      // so that an idle outbox does not pin the log
	markWait  = 2 * time.Second       // for one statement
	fullPause = 10 * time.Millisecond // between looks at a full belt
)

// reading is the state of one stream.
type reading struct {
	*Relay
	stream  *stream
	belt    *belt
	decoder *decoder

	confirmed atomic.Uint64 // position before which everything is published; what is acknowledged
	mark      atomic.Uint64 // newest mark that has been reached
	marked    chan struct{} // holds a token when mark has grown
	rows      atomic.Int64  // seen in this stream
	caughtUp  chan struct{} // closed when the rows from before the slot are out

	acked     uint64 // owned by read
	ackedAt   time.Time
	replyAsap bool
}

// run publishes what the slot does not have, then streams.
func (s *reading) run(ctx context.Context, h horizon) error {
	return together(ctx, s.belt.run, s.read, s.keepMark, func(ctx context.Context) error { return s.catchUp(ctx, h) })
}

// catchUp publishes the rows at or above the mark that were committed before the slot was made. It is noted when they are
// out: until then every start does it again.
func (s *reading) catchUp(ctx context.Context, h horizon) error {
	if !h.exact {
		n, err := s.belt.scan(ctx, h.mark, h.xmax)
		if err != nil {
			return err
		}
		if err := s.belt.flush(ctx); err != nil {
			return err
		}
		if err := s.carriesOn(ctx, s.slot); err != nil {
			return err
		}
		s.m.recoveries.Inc()
		s.Log.Info("published the rows from before the slot", "rows", n, "mark", h.mark)
	}
	close(s.caughtUp)
	return nil
}

// read owns the connection. It acknowledges in time whatever happens, and takes nothing in while the belt is full or the rows
// from before the slot are not out.
func (s *reading) read(ctx context.Context) error {
	waiting := s.caughtUp
	for ctx.Err() == nil {
		if err := s.acknowledge(ctx); err != nil {
			return err
		}
		if waiting != nil || s.belt.full() {
			select {
			case <-waiting:
				waiting = nil
			case <-time.After(fullPause):
			case <-ctx.Done():
			}
			continue
		}
		data, err := s.stream.receive()
		if err != nil {
			return err
		}
		if err := s.take(data); err != nil {
			return err
		}
	}
	_ = s.stream.ack(context.WithoutCancel(ctx), pglogrepl.LSN(s.confirmed.Load())) // spares the next reader repetitions
	return ctx.Err()
}

// acknowledge sends the confirmed position: soon after it has moved, at once when Postgres asks, and every second.
func (s *reading) acknowledge(ctx context.Context) error {
	position, since := s.confirmed.Load(), time.Since(s.ackedAt)
	if !s.replyAsap && since < ackEvery && (position == s.acked || since < ackSoon) {
		return nil
	}
	s.acked, s.ackedAt, s.replyAsap = position, time.Now(), false
	return s.stream.ack(ctx, pglogrepl.LSN(position))
}

// take handles one message of the replication protocol.
func (s *reading) take(data []byte) error {
	if len(data) == 0 {
		return nil
	}
	switch data[0] {
	case pglogrepl.PrimaryKeepaliveMessageByteID:
		k, err := pglogrepl.ParsePrimaryKeepaliveMessage(data[1:])
		if err != nil {
			return fmt.Errorf("keepalive: %w", err)
		}
		s.replyAsap = s.replyAsap || k.ReplyRequested
		if !s.decoder.inTx { // everything before it has been read, so it is as good as an empty transaction
			s.reach(k.ServerWALEnd)
		}
		return nil
	case pglogrepl.XLogDataByteID:
		x, err := pglogrepl.ParseXLogData(data[1:])
		if err != nil {
			return fmt.Errorf("log data: %w", err)
		}
		m, err := pglogrepl.Parse(x.WALData)
		if err != nil {
			return fmt.Errorf("log data: %w", err)
		}
		return s.handle(m)
	}
	return nil
}

// handle puts rows on the belt, and a checkpoint behind each transaction: only the end of a commit is a position.
func (s *reading) handle(m pglogrepl.Message) error {
	switch m := m.(type) {
	case *pglogrepl.BeginMessage:
		s.decoder.inTx = true
	case *pglogrepl.RelationMessage:
		return s.decoder.learn(m)
	case *pglogrepl.InsertMessage:
		r, err := s.decoder.insert(m)
		if err != nil {
			return err
		}
		s.rows.Add(1)
		s.belt.put(r)
	case *pglogrepl.LogicalDecodingMessage:
		if m.Prefix != s.markPrefix() || !m.Transactional {
			return nil
		}
		mark, err := markOf(m)
		if err != nil {
			return err
		}
		s.belt.checkpoint(func() { s.mark.Store(mark); poke(s.marked) })
	case *pglogrepl.CommitMessage:
		s.decoder.inTx = false
		s.reach(m.TransactionEndLSN)
	}
	return nil
}

// reach moves the confirmed position to lsn once everything on the belt is confirmed.
func (s *reading) reach(lsn pglogrepl.LSN) {
	s.belt.checkpoint(func() {
		if uint64(lsn) > s.confirmed.Load() { // only the belt's goroutine writes it
			s.confirmed.Store(uint64(lsn))
		}
	})
}

func (r *Relay) markPrefix() string { return r.slot + ".mark" }

// keepMark writes a mark into the log every second while rows flow and every ten seconds in any case, and moves the stored
// mark when one has come out at the other end. A failure is made good by the next mark.
func (s *reading) keepMark(ctx context.Context) error {
	ticker := time.NewTicker(markEvery)
	defer ticker.Stop()
	var seen int64 = -1 // a new reader does not know what was published since the last mark
	var at time.Time
	quiet := 0 // marks written since the last row
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.marked:
			s.note(ctx, "mark not moved", func(ctx context.Context) error { return s.advance(ctx, s.mark.Load()) })
		case <-ticker.C:
			if rows := s.rows.Load(); rows != seen {
				seen, quiet = rows, 0
			}
			if quiet >= markTimes && time.Since(at) < markIdle {
				continue
			}
			if s.note(ctx, "mark not written", s.emitMark) {
				quiet, at = quiet+1, time.Now()
			}
		}
	}
}

// emitMark writes the mark into the log. Every transaction below the snapshot's xmin has ended, so its commit lies before
// this one's, and this one is decoded after them all.
func (r *Relay) emitMark(ctx context.Context) error {
	_, err := r.DB.Exec(ctx, `SELECT pg_logical_emit_message(true, $1, pg_snapshot_xmin(pg_current_snapshot())::text)`, r.markPrefix())
	return err
}

func (r *Relay) note(ctx context.Context, what string, do func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	err := do(ctx)
	if err != nil {
		r.Log.Warn(what, "error", err)
	}
	return err == nil
}
