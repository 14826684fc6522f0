package relay

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"

	"github.com/holdfast-checkout/holdfast/internal/lease"
)

const (
	ackEvery  = 500 * time.Millisecond // at the latest, also when nothing was confirmed
	ackSoon   = 50 * time.Millisecond  // after a confirm
	fullPause = 10 * time.Millisecond  // between looks at a full belt
)

// reading is the state of one stream.
type reading struct {
	*Relay
	term        lease.Term
	publication string // its version
	stream      *stream
	belt        *belt
	decoder     *decoder
	from        horizon
	exact       bool // the stream carries on from the mark

	confirmed atomic.Uint64          // position before which everything is published
	mark      atomic.Pointer[extent] // newest mark that has been reached; nil: none
	marked    chan struct{}          // holds a token when mark has grown, or many rows are confirmed
	told      int64                  // rows that were confirmed at the last such token; owned by the belt
	rows      atomic.Int64           // seen in this stream
	notedMark *extent                // what is stored of the mark, and of the position; owned by keepMark
	noted     atomic.Uint64          // what is acknowledged: Postgres never knows more than what whoever comes next goes on from
	caughtUp  chan struct{}          // closed when the rows from before the slot are out

	acked     uint64 // owned by read
	ackedAt   time.Time
	replyAsap bool
}

// run publishes what the slot does not have, then streams.
func (s *reading) run(ctx context.Context) error {
	return together(ctx, s.belt.run, s.read, s.keepMark, s.catchUp)
}

// catchUp publishes the rows at or above the mark that were committed before the slot was made. It is noted when they are
// out: until then every start does it again.
func (s *reading) catchUp(ctx context.Context) error {
	if !s.exact {
		n, err := s.belt.carry(ctx, s.from.published.until(extent{xmax: s.from.xmax}), s.passed)
		if err != nil {
			return err
		}
		if err := s.carriesOn(ctx, s.term, s.publication, s.stream.from); err != nil {
			return err
		}
		s.m.recoveries.Inc()
		s.Log.Info("published the rows from before the slot", "rows", n, "mark", s.from.mark)
	}
	close(s.caughtUp)
	return nil
}

// passed notes that the rows below a transaction are out, as far as none of an older one can follow.
func (s *reading) passed(ctx context.Context, below uint64) error {
	if below == 0 { // nothing is confirmed yet
		return nil
	}
	return s.advance(ctx, s.term, &extent{xmax: min(below, s.from.xmin)}, 0)
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
	s.leave(context.WithoutCancel(ctx))
	return ctx.Err()
}

// leave spares the next reader repetitions: it notes how far everything is published, then acknowledges it.
func (s *reading) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, markWait)
	defer cancel()
	position := pglogrepl.LSN(s.confirmed.Load())
	if s.waiting() || s.advance(ctx, s.term, s.mark.Load(), position) != nil {
		return
	}
	_ = s.stream.ack(ctx, position)
}

// waiting says that the rows from before the slot are not out.
func (s *reading) waiting() bool {
	select {
	case <-s.caughtUp:
		return false
	default:
		return true
	}
}

// acknowledge sends the noted position: soon after it has moved, immediately when Postgres asks, and every second. Not the confirmed
// one: were it acknowledged and not noted, a reader that comes after a crash could not tell that the stream carries on from the mark,
// and would publish from the table what comes in the stream again.
func (s *reading) acknowledge(ctx context.Context) error {
	position, since := s.noted.Load(), time.Since(s.ackedAt)
	if !s.replyAsap && since < min(ackEvery, s.stream.timeout/4) && (position == s.acked || since < ackSoon) {
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
		s.decoder.inTx, s.decoder.xid = true, m.Xid
	case *pglogrepl.RelationMessage:
		return s.decoder.learn(m)
	case *pglogrepl.InsertMessage:
		r, ok, err := s.decoder.insert(m)
		if err != nil || !ok {
			return err
		}
		r.xid = s.decoder.xid
		s.rows.Add(1)
		s.belt.put(r)
	case *pglogrepl.LogicalDecodingMessage:
		if m.Prefix != s.markPrefix() || !m.Transactional {
			return nil
		}
		mark, err := markOf(m)
		if err != nil { // of another version: ours follow within ten seconds
			s.Log.Warn("a mark in the log cannot be read and is passed over", "error", err)
			return nil
		}
		s.belt.checkpoint(func() { s.mark.Store(&mark); poke(s.marked) })
	case *pglogrepl.CommitMessage:
		s.decoder.inTx = false
		s.reach(m.TransactionEndLSN)
	}
	return nil
}

// reach moves the confirmed position to lsn once everything on the belt is confirmed.
func (s *reading) reach(lsn pglogrepl.LSN) {
	rows := s.rows.Load()
	s.belt.checkpoint(func() {
		if uint64(lsn) > s.confirmed.Load() { // only the belt's goroutine writes it
			s.confirmed.Store(uint64(lsn))
		}
		if rows-s.told >= noteRows {
			s.told = rows
			poke(s.marked)
		}
	})
}
