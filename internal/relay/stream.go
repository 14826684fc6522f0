package relay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

const (
	// lookUp is how long a read waits, so that confirms are passed on and the end of the context is seen.
	lookUp      = 200 * time.Millisecond
	streamWrite = 5 * time.Second
	makerGone   = 2 * time.Second // in which Postgres notices that whoever was making the slot is gone
)

// errSilent says that Postgres has not even answered a question whether it is there.
var errSilent = errors.New("replication stream: Postgres is silent")

// stream is a replication connection. One goroutine owns it: reads and writes share deadlines.
type stream struct {
	pg      *pgconn.PgConn
	bytes   *atomic.Int64 // when the last bytes came, in Unix nanoseconds
	timeout time.Duration // after which Postgres and we give each other up
	from    pglogrepl.LSN // where the stream begins
	until   time.Time     // the read deadline that is set
	heard   time.Time     // when Postgres last said something, or might have
}

// deadlineConn gives every write a deadline: a frozen Postgres would block it for ever. It notes when bytes came: one message may
// take longer than Postgres may be silent.
type deadlineConn struct {
	net.Conn
	bytes *atomic.Int64
}

// Read notes that there was something.
func (c deadlineConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.bytes.Store(time.Now().UnixNano())
	}
	return n, err
}

// Write fails when Postgres takes nothing for streamWrite.
func (c deadlineConn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// connect opens a replication connection to the database of url.
func connect(ctx context.Context, url, name string, timeout time.Duration) (*stream, error) {
	cfg, err := pgconn.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("replication connection: %w", err)
	}
	cfg.RuntimeParams["replication"] = "database"
	cfg.RuntimeParams["application_name"] = name
	cfg.RuntimeParams["wal_sender_timeout"] = fmt.Sprintf("%dms", timeout.Milliseconds())
	// The making of a slot may wait for as long as others leave a transaction open, and ends when we do: Postgres looks for us meanwhile.
	cfg.RuntimeParams["statement_timeout"], cfg.RuntimeParams["lock_timeout"] = "0", "0"
	cfg.RuntimeParams["client_connection_check_interval"] = fmt.Sprintf("%dms", min(timeout/2, makerGone).Milliseconds())
	cfg.ConnectTimeout = 5 * time.Second
	s := &stream{timeout: timeout, bytes: &atomic.Int64{}}
	dialer := net.Dialer{Timeout: cfg.ConnectTimeout, KeepAlive: 5 * time.Second}
	cfg.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return deadlineConn{conn, s.bytes}, nil
	}
	if s.pg, err = pgconn.ConnectConfig(ctx, cfg); err != nil {
		return nil, fmt.Errorf("replication connection: %w", err)
	}
	return s, nil
}

// create makes the slot and gives the position where its stream begins. Postgres waits for the transactions that are under
// way in the whole server, so it takes as long as they do.
func (s *stream) create(ctx context.Context, slot string) (pglogrepl.LSN, error) {
	// Not by pglogrepl, which does not know of slots that standbys copy. A name of a slot (slotName) needs no quoting.
	answer := s.pg.Exec(ctx, "SELECT lsn FROM pg_create_logical_replication_slot('"+slot+"', 'pgoutput'"+s.failover()+")")
	made, err := answer.ReadAll()
	if err != nil {
		return 0, fmt.Errorf("create slot %s: %w", slot, err)
	}
	at, err := pglogrepl.ParseLSN(string(made[0].Rows[0][0]))
	if err != nil {
		return 0, fmt.Errorf("create slot %s: %w", slot, err)
	}
	return at, nil
}

// failover asks Postgres, from 17 on, for a slot that a standby with sync_replication_slots has too, and goes on with when promoted.
func (s *stream) failover() string {
	version := s.pg.ParameterStatus("server_version")
	if major, err := strconv.Atoi(version[:min(2, len(version))]); err != nil || major < 17 {
		return ""
	}
	return ", failover => true"
}

// start begins to stream, which at most one reader of a slot can.
func (s *stream) start(ctx context.Context, slot string, from pglogrepl.LSN) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := pglogrepl.StartReplication(ctx, s.pg, slot, from, pglogrepl.StartReplicationOptions{
		Mode: pglogrepl.LogicalReplication,
		PluginArgs: []string{
			"proto_version '1'", "publication_names '" + Publication + "'", "messages 'true'", "binary 'true'",
		},
	})
	if err != nil {
		return fmt.Errorf("read slot %s: %w", slot, err)
	}
	return nil
}

// receive gives the next message's data, or nil after a while in which nothing came. The data is good until the next call.
func (s *stream) receive() ([]byte, error) {
	if now := time.Now(); now.After(s.until) {
		if now.Sub(s.until) > lookUp {
			s.heard = now // nobody has listened
		}
		if came := time.Unix(0, s.bytes.Load()); came.After(s.heard) {
			s.heard = came
		}
		if now.Sub(s.heard) > s.timeout {
			return nil, fmt.Errorf("%w for %s", errSilent, s.timeout)
		}
		s.until = now.Add(lookUp)
		if err := s.pg.Conn().SetReadDeadline(s.until); err != nil {
			return nil, fmt.Errorf("replication stream: %w", err)
		}
	}
	msg, err := s.pg.Frontend().Receive()
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("replication stream: %w", err)
	}
	s.heard = s.until
	switch msg := msg.(type) {
	case *pgproto3.CopyData:
		return msg.Data, nil
	case *pgproto3.ErrorResponse:
		return nil, fmt.Errorf("replication stream: %w", pgconn.ErrorResponseToPgError(msg))
	case *pgproto3.CopyDone, *pgproto3.CommandComplete:
		return nil, errors.New("replication stream: ended by Postgres")
	}
	return nil, nil // notices and parameters
}

// ack tells Postgres that everything before lsn is done with. Zero would be taken for all that was ever received, so it is
// refused.
func (s *stream) ack(ctx context.Context, lsn pglogrepl.LSN) error {
	if lsn == 0 {
		return errors.New("replication stream: no position to acknowledge")
	}
	now := time.Now()
	err := pglogrepl.SendStandbyStatusUpdate(ctx, s.pg, pglogrepl.StandbyStatusUpdate{
		WALWritePosition: lsn, WALFlushPosition: lsn, WALApplyPosition: lsn,
		ReplyRequested: now.Before(s.until) && now.Sub(s.heard) > s.timeout/4, // an idle Postgres says nothing unasked
	})
	if err != nil {
		return fmt.Errorf("replication stream: acknowledge %s: %w", lsn, err)
	}
	return nil
}

// close ends the connection, after ctx as well.
func (s *stream) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = s.pg.Close(ctx)
}
