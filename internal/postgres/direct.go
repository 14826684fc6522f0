package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrPooler says that there is a pooler on a way to Postgres that has to lead to Postgres itself.
var ErrPooler = errors.New("there is a pooler before Postgres, which passes on no replication, notifications, locks or tables of a " +
	"session: name Postgres itself as well, with --replication-url")

// protocolViolation is the SQLSTATE under which a pooler refuses a setting of a connection.
const protocolViolation = "08P01"

// refusesSettings reports whether a connection was refused for the settings that it asked for, as PgBouncer does and Postgres does not.
func refusesSettings(err error) bool {
	return Code(err) == protocolViolation && strings.Contains(err.Error(), "unsupported startup parameter")
}

// querier is a connection, for what is asked before anything else.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// serves reports whether the process that answers is not the one that the server named when the connection was made. A pooler makes
// up a name, since a cancellation has to come to the pooler; and it cannot know which process will answer.
func serves(ctx context.Context, on querier, named uint32) (pooler bool, err error) {
	var pid uint32
	err = on.QueryRow(ctx, `SELECT pg_backend_pid()`, pgx.QueryExecModeSimpleProtocol).Scan(&pid)
	return pid != named, err
}

// connectPool makes a pool and proves that the server answers. pooler says that it is one, and that there is no such pool.
func connectPool(ctx context.Context, cfg *pgxpool.Config) (pool *pgxpool.Pool, pooler bool, err error) {
	if pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, false, err
	}
	conn, err := pool.Acquire(ctx)
	if err == nil {
		pooler, err = serves(ctx, conn, conn.Conn().PgConn().PID())
		conn.Release()
	}
	if err == nil && !pooler {
		return pool, false, nil
	}
	pool.Close()
	if pooler || refusesSettings(err) {
		return nil, true, nil
	}
	return nil, false, err
}

// checkDirect refuses a URL that leads through a pooler.
func checkDirect(ctx context.Context, url string) error {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if refusesSettings(err) {
		return ErrPooler
	}
	if err != nil {
		return err
	}
	defer hangUp(ctx, conn)
	pooler, err := serves(ctx, conn, conn.PgConn().PID())
	if err == nil && pooler {
		return ErrPooler
	}
	return err
}

// Connect opens a connection outside the pool, to Postgres itself, with the pool's settings and those given.
func (db *DB) Connect(ctx context.Context, settings map[string]string) (*pgx.Conn, error) {
	cfg := db.direct.Copy()
	for name, value := range settings {
		cfg.RuntimeParams[name] = value
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// place is what tells two databases apart.
type place struct {
	started  time.Time
	database uint32
}

func placeOf(ctx context.Context, on querier) (p place, err error) {
	err = on.QueryRow(ctx, `SELECT pg_postmaster_start_time(), oid FROM pg_database WHERE datname = current_database()`).Scan(&p.started, &p.database)
	return p, err
}

// checkPlace refuses a direct way that leads through a pooler, too, or to another database than the pool's.
func (db *DB) checkPlace(ctx context.Context) error {
	conn, err := db.Connect(ctx, nil)
	if refusesSettings(err) {
		return fmt.Errorf("--replication-url: %w", ErrPooler)
	}
	if err != nil {
		return fmt.Errorf("--replication-url: %w", err)
	}
	defer hangUp(ctx, conn)
	pooler, err := serves(ctx, conn, conn.PgConn().PID())
	if err == nil && pooler {
		err = ErrPooler
	}
	if err != nil {
		return fmt.Errorf("--replication-url: %w", err)
	}
	here, err := placeOf(ctx, db)
	if err != nil {
		return err
	}
	there, err := placeOf(ctx, conn)
	if err != nil {
		return err
	}
	if !here.started.Equal(there.started) || here.database != there.database {
		return errors.New("--replication-url leads to another server or database than --postgres-url")
	}
	return nil
}

func hangUp(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
