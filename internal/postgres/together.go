package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

type togetherKey struct{}

// together is a transaction that what is called within it joins, and what waits for its commit.
type together struct {
	db    *DB
	tx    pgx.Tx
	after []func()
}

func togetherOf(ctx context.Context) *together {
	whole, _ := ctx.Value(togetherKey{}).(*together)
	return whole
}

// Together is InTx for what is done by several that each have a transaction of their own elsewhere: with the context that fn is
// given, an InTx of the same DB works in this one. An error of any of them has to come back from fn, which then undoes all.
func (db *DB) Together(ctx context.Context, fn func(ctx context.Context, tx pgx.Tx) error) error {
	var whole *together
	err := db.InTx(ctx, func(tx pgx.Tx) error {
		whole = &together{db: db, tx: tx}
		return fn(context.WithValue(ctx, togetherKey{}, whole), tx)
	})
	if err != nil {
		return err
	}
	for _, do := range whole.after {
		do()
	}
	return nil
}

// AfterCommit does what must wait for a commit, after an InTx under ctx: at once, or when the transaction of Together that it was
// a part of is committed, and never if that is undone.
func AfterCommit(ctx context.Context, do func()) {
	if whole := togetherOf(ctx); whole != nil {
		whole.after = append(whole.after, do)
		return
	}
	do()
}
