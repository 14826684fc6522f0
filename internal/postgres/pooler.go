package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// throughPooler makes the pool where a pooler gives every transaction another process of Postgres. Nothing of a session stays then:
// statements are described once and sent whole, not prepared, and every transaction, one statement alone being one, begins with the
// limits that a connection has elsewhere.
func (db *DB) throughPooler(ctx context.Context, cfg *pgxpool.Config, o Options) (*pgxpool.Pool, error) {
	var names []string
	for name, value := range o.limits() {
		delete(cfg.ConnConfig.RuntimeParams, name)
		names = append(names, "; SET LOCAL "+name+" = '"+value+"'")
	}
	slices.Sort(names)
	for _, set := range names {
		db.limits += set
	}
	cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return pool, nil
}

// Pooled reports whether there is a pooler on the pool's way to Postgres.
func (db *DB) Pooled() bool { return db.limits != "" }

// Begin begins a transaction with the limits of a connection.
func (db *DB) Begin(ctx context.Context) (pgx.Tx, error) { return db.BeginTx(ctx, pgx.TxOptions{}) }

// BeginTx begins a transaction with the limits of a connection. Through a pooler they are sent with its first statement.
func (db *DB) BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error) {
	if db.Pooled() {
		o.BeginQuery = "begin"
		if o.IsoLevel != "" {
			o.BeginQuery += " isolation level " + string(o.IsoLevel)
		}
		o.BeginQuery += fmt.Sprintf(" %s %s", o.AccessMode, o.DeferrableMode) + db.limits
	}
	return db.Pool.BeginTx(ctx, o)
}

func (db *DB) exec(ctx context.Context, sql string, args ...any) (tag pgconn.CommandTag, err error) {
	if !db.Pooled() {
		return db.Pool.Exec(ctx, sql, args...)
	}
	err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		tag, err = tx.Exec(ctx, sql, args...)
		return err
	})
	return tag, err
}

// Query asks one question outside a transaction.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	if !db.Pooled() {
		return db.Pool.Query(ctx, sql, args...)
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return noRows{err: err}, err
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		_ = tx.Rollback(ctx) // a connection that cannot is closed
		return noRows{err: err}, err
	}
	return &wholeRows{Rows: rows, end: ending(ctx, tx)}, nil
}

// QueryRow asks one question outside a transaction, whose answer is one row.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	if !db.Pooled() {
		return db.Pool.QueryRow(ctx, sql, args...)
	}
	rows, err := db.Query(ctx, sql, args...)
	return wholeRow{rows, err}
}

// SendBatch sends several statements at once, which hold all or none.
func (db *DB) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	if !db.Pooled() {
		return db.Pool.SendBatch(ctx, b)
	}
	tx, err := db.Begin(ctx)
	if err != nil {
		return noResults{err: err}
	}
	return &wholeResults{BatchResults: tx.SendBatch(ctx, b), end: ending(ctx, tx)}
}

// ending ends a transaction once, after what may have failed in it.
func ending(ctx context.Context, tx pgx.Tx) func(error) error {
	done := false
	return func(err error) error {
		if done {
			return nil
		}
		done = true
		if err != nil {
			_ = tx.Rollback(ctx) // a connection that cannot is closed
			return err
		}
		return tx.Commit(ctx)
	}
}
