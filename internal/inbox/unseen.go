package inbox

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// UnseenError says that a fact's order is not in the books, or not yet: a commit is in the log of Postgres before others see it,
// for as long as a synchronous standby does not answer.
type UnseenError struct {
	Order uuid.UUID

	before uint64 // whoever made the order, and has said so, has a transaction id below
	open   uint64 // every transaction below has ended
}

func (e *UnseenError) Error() string { return fmt.Sprintf("order %s is not in the books", e.Order) }

// Unseen returns the UnseenError for an order that a transaction has looked for in vain.
func Unseen(ctx context.Context, tx pgx.Tx, order uuid.UUID) error {
	e := &UnseenError{Order: order}
	err := tx.QueryRow(ctx, `SELECT pg_current_xact_id(), pg_snapshot_xmin(pg_current_snapshot())`).Scan(&e.before, &e.open)
	if err != nil {
		return fmt.Errorf("order %s is not in the books, and may be later: %w", order, err)
	}
	return e
}

// MayAppear reports whether what the first attempt at a fact did not find may still appear after the last one: while a transaction is
// open that was open at the first, since it may be the one that made the order.
func MayAppear(first, last error) bool {
	var was, is *UnseenError
	return errors.As(first, &was) && errors.As(last, &is) && is.open < was.before
}
