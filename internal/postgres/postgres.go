// Package postgres opens the pool that the modules share, runs their transactions, and applies the migrations.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	pgxuuid "github.com/vgarvardt/pgx-google-uuid/v5"

	"github.com/holdfast-checkout/holdfast/internal/run"
)

// Tracer sees every statement of every connection that is opened from now on, when set. Tests collect by it what is sent.
var Tracer pgx.QueryTracer

// DB is a pool whose transactions are run by InTx.
type DB struct {
	*pgxpool.Pool
	// OnCommit is called after every commit by InTx, when set. It must not block. The relay is woken by it.
	OnCommit func()

	direct *pgx.ConnConfig // to Postgres itself
	limits string          // what every transaction sets for itself, through a pooler; else empty
}

// Options of a pool. Zero values mean the defaults.
type Options struct {
	MaxConns         int32         // 24
	StatementTimeout time.Duration // 15 s
	LockTimeout      time.Duration // 5 s
	ApplicationName  string        // holdfast
	DirectURL        string        // of the same database past any pooler; empty: there is none
}

// Open makes a pool and proves that the server answers. Every connection has a statement, a lock and an idle-in-transaction
// time-out, so that nothing waits for ever. Through a pooler every transaction has them, and Open refuses one unless it is told a
// way past it.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	o = o.withDefaults()
	cfg.MaxConns = o.MaxConns
	cfg.MaxConnIdleTime = 5 * time.Minute
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	settings(cfg.ConnConfig, o)
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		pgxuuid.Register(conn.TypeMap()) // lists of ids are sent as they are, not each by way of its text
		return nil
	}
	db := &DB{direct: cfg.ConnConfig.Copy()}
	if o.DirectURL != "" {
		if db.direct, err = pgx.ParseConfig(o.DirectURL); err != nil {
			return nil, fmt.Errorf("postgres: %w", err)
		}
		db.direct.ConnectTimeout = cfg.ConnConfig.ConnectTimeout
		settings(db.direct, o)
	}
	if err := db.open(ctx, cfg, o); err != nil {
		return nil, fmt.Errorf("postgres: %w", err)
	}
	return db, nil
}

// limits are the settings of a connection that a pooler does not take.
func (o Options) limits() map[string]string {
	return map[string]string{
		"jit":                                 "off", // compiling a short query over many partitions takes a second, running it a millisecond
		"statement_timeout":                   millis(o.StatementTimeout),
		"lock_timeout":                        millis(o.LockTimeout),
		"idle_in_transaction_session_timeout": millis(o.StatementTimeout),
	}
}

func settings(cfg *pgx.ConnConfig, o Options) {
	cfg.RuntimeParams["application_name"] = o.ApplicationName
	cfg.RuntimeParams["timezone"] = "UTC"
	cfg.Tracer = Tracer
	maps.Copy(cfg.RuntimeParams, o.limits())
}

// open connects the pool, in the pooler's way where there is one.
func (db *DB) open(ctx context.Context, cfg *pgxpool.Config, o Options) error {
	pool, pooler, err := connectPool(ctx, cfg.Copy())
	switch {
	case err != nil:
		return err
	case pooler && o.DirectURL == "":
		return ErrPooler
	case pooler:
		if pool, err = db.throughPooler(ctx, cfg, o); err != nil {
			return err
		}
	}
	db.Pool = pool
	if o.DirectURL == "" {
		return nil
	}
	if err := db.checkPlace(ctx); err != nil {
		db.Close()
		return err
	}
	return nil
}

func (o Options) withDefaults() Options {
	if o.MaxConns == 0 {
		o.MaxConns = 24
	}
	if o.StatementTimeout == 0 {
		o.StatementTimeout = 15 * time.Second
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = 5 * time.Second
	}
	if o.ApplicationName == "" {
		o.ApplicationName = "holdfast"
	}
	return o
}

func millis(d time.Duration) string { return fmt.Sprintf("%dms", d.Milliseconds()) }

// attempts is how often a transaction is tried that Postgres has rolled back for the sake of another.
const attempts = 6

// InTx runs fn in a READ COMMITTED transaction and commits it. A deadlock or a serialization failure is tried again with
// jitter, so fn must do the same when it runs twice. An error of the commit itself is returned: its outcome is unknown. Under
// a context with a fence, the fence is asked first. Under a context of Together, fn is a part of that transaction.
func (db *DB) InTx(ctx context.Context, fn func(tx pgx.Tx) error) error {
	if whole := togetherOf(ctx); whole != nil && whole.db == db {
		return fenced(ctx, fn)(whole.tx)
	}
	var err error
	for try := range attempts {
		if try > 0 {
			if err := pause(ctx, try); err != nil {
				return err
			}
		}
		err = pgx.BeginFunc(ctx, db, fenced(ctx, fn))
		if err == nil {
			if db.OnCommit != nil {
				db.OnCommit()
			}
			return nil
		}
		if !rolledBackForAnother(err) {
			return err
		}
	}
	return err
}

func pause(ctx context.Context, try int) error {
	return run.Pause(ctx, rand.N(time.Duration(1<<try)*2*time.Millisecond))
}

func rolledBackForAnother(err error) bool {
	code := Code(err)
	return code == "40001" || code == "40P01"
}

// Code is the SQLSTATE in an error's chain, or "".
func Code(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// IsUnique says whether an error is the violation of that unique constraint or index.
func IsUnique(err error, constraint string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505" && e.ConstraintName == constraint
}

// NoPartition reports whether a row found no partition to go to: the one check violation that names no constraint.
func NoPartition(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23514" && e.ConstraintName == ""
}

// Unavailable says whether an error means that the server could not be reached or is not serving, rather than that it
// refused what was asked. A missing partition is an outage, too: nobody can write until it is made.
func Unavailable(err error) bool {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return true
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		class := e.Code[:2]
		return class == "08" || class == "57" || class == "53" || e.Code == "55P03" || NoPartition(err)
	}
	return pgconn.Timeout(err) || pgconn.SafeToRetry(err) || connectionLost(err)
}
