package inbox_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/inbox"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// What was not found may appear while a transaction is open that was open then, and not for the sake of one that began later.
func TestWhatMayAppear(t *testing.T) {
	t.Parallel()
	env, _ := testkit.PrivatePostgres(t)
	begin := func() pgx.Tx {
		tx, err := env.DB.Begin(t.Context())
		if err == nil {
			_, err = tx.Exec(t.Context(), `SELECT pg_current_xact_id()`)
		}
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	id := uuid.New()
	look := func() (err error) {
		tx := begin()
		defer func() { _ = tx.Rollback(t.Context()) }()
		err = inbox.Unseen(t.Context(), tx, id)
		var unseen *inbox.UnseenError
		if !errors.As(err, &unseen) || unseen.Order != id {
			t.Fatal(err)
		}
		return fmt.Errorf("handle: %w", err)
	}
	ghost := look()
	if inbox.MayAppear(ghost, ghost) {
		t.Error("may appear though nobody has begun anything")
	}
	maker := begin()
	first := look()
	later := begin()
	defer func() { _ = later.Rollback(t.Context()) }()
	if again := look(); !inbox.MayAppear(first, first) || !inbox.MayAppear(first, again) || inbox.MayAppear(first, errors.New("other")) || inbox.MayAppear(errors.New("other"), again) {
		t.Error("what a transaction that is still open may make is given up, or waited for by others")
	}
	if err := maker.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if inbox.MayAppear(first, look()) {
		t.Error("may appear though all who could have made it have ended")
	}
}
