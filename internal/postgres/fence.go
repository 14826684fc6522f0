package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Fence is asked first in a transaction, and refuses it when its writer may write no more.
type Fence func(ctx context.Context, tx pgx.Tx) error

type fenceKey struct{}

// WithFence makes every InTx and every Exec of a DB under the context ask the fence first, in the same transaction. It is how
// a leader works: what it calls need not know that it is led.
func WithFence(ctx context.Context, f Fence) context.Context {
	return context.WithValue(ctx, fenceKey{}, f)
}

// fenced puts the context's fence, if there is one, before what a transaction does.
func fenced(ctx context.Context, fn func(tx pgx.Tx) error) func(tx pgx.Tx) error {
	fence, ok := ctx.Value(fenceKey{}).(Fence)
	if !ok {
		return fn
	}
	return func(tx pgx.Tx) error {
		if err := fence(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	}
}

// Exec runs one statement outside a transaction, or in one of its own where the context has a fence.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if ctx.Value(fenceKey{}) == nil {
		return db.exec(ctx, sql, args...)
	}
	var tag pgconn.CommandTag
	err := pgx.BeginFunc(ctx, db, fenced(ctx, func(tx pgx.Tx) (err error) {
		tag, err = tx.Exec(ctx, sql, args...)
		return err
	}))
	return tag, err
}
