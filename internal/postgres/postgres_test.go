package postgres_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

func TestADeadlockIsTriedAgain(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	if _, err := env.DB.Exec(t.Context(), `CREATE TABLE n (id int PRIMARY KEY, n int); INSERT INTO n VALUES (1, 0), (2, 0)`); err != nil {
		t.Fatal(err)
	}
	var commits int
	var mu sync.Mutex
	env.DB.OnCommit = func() { mu.Lock(); defer mu.Unlock(); commits++ }
	var met sync.WaitGroup
	met.Add(2)
	both := sync.OnceFunc(met.Done)
	another := sync.OnceFunc(met.Done)
	var wg sync.WaitGroup
	for i, first := range []func(){both, another} {
		wg.Go(func() {
			err := env.DB.InTx(t.Context(), func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), `UPDATE n SET n = n + 1 WHERE id = $1`, 1+i); err != nil {
					return err
				}
				first()
				met.Wait() // both hold one row now, and want the other's
				_, err := tx.Exec(t.Context(), `UPDATE n SET n = n + 1 WHERE id = $1`, 2-i)
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	var sum int
	if err := env.DB.QueryRow(t.Context(), `SELECT sum(n) FROM n`).Scan(&sum); err != nil || sum != 4 || commits != 2 {
		t.Fatalf("sum %d, %d commits, %v", sum, commits, err)
	}
}

func TestErrorsAreToldApart(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	_, err := env.DB.Exec(t.Context(), `INSERT INTO shared.relay_mark (mark) VALUES ('1')`)
	if !postgres.IsUnique(err, "relay_mark_pkey") || postgres.Unavailable(err) {
		t.Errorf("unique violation: %v", err)
	}
	_, err = env.DB.Exec(t.Context(), `SELECT pg_terminate_backend(pg_backend_pid())`)
	if err == nil || !postgres.Unavailable(err) {
		t.Errorf("terminated: %v", err)
	}
	_, err = postgres.Open(t.Context(), "postgres://postgres@127.0.0.1:1/x", postgres.Options{})
	if err == nil || !postgres.Unavailable(err) {
		t.Errorf("nobody there: %v", err)
	}
	if postgres.Unavailable(errors.New("something else")) || postgres.Unavailable(nil) {
		t.Error("what is no outage counts as one")
	}
}

func TestMigrationsCanBeRepeatedAtOnce(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := postgres.Migrate(t.Context(), env.PostgresURL); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
