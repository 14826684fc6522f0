package compare

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// A slot whose reader has not gone yet when the server has ended does not keep the database.
func TestTheBooksAreDroppedOnceTheirSlotIsFree(t *testing.T) {
	t.Parallel()
	env := testkit.New(t)
	b, err := newBooks(t.Context(), env.PostgresURL, env.Namespace)
	if err != nil {
		t.Fatal(err)
	}
	slot := env.Namespace + "_left"
	if _, err := b.pool.Exec(t.Context(), `SELECT pg_create_logical_replication_slot($1, 'pgoutput')`, slot); err != nil {
		t.Fatal(err)
	}
	reader, err := pgconn.Connect(t.Context(), b.url+"&replication=database")
	if err != nil {
		t.Fatal(err)
	}
	go func() { // until it is closed
		_ = reader.Exec(context.Background(), `START_REPLICATION SLOT "`+slot+`" LOGICAL 0/0 (proto_version '1', publication_names 'none')`).Close()
	}()
	active := `SELECT active FROM pg_replication_slots WHERE slot_name = $1`
	testkit.Eventually(t, 20*time.Second, func() error {
		var read bool
		if err := env.DB.QueryRow(t.Context(), active, slot).Scan(&read); err != nil || !read {
			return errors.Join(err, errors.New("nobody reads it yet"))
		}
		return nil
	})
	dropped := make(chan error, 1)
	go func() { dropped <- b.drop(t.Context()) }()
	select {
	case err := <-dropped:
		t.Fatalf("dropped under its reader: %v", err)
	case <-time.After(2 * looks):
	}
	if _, err := env.DB.Exec(t.Context(), `SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = $1`, slot); err != nil {
		t.Fatal(err)
	}
	if err := <-dropped; err != nil {
		t.Error(err)
	}
	var slots, databases int
	err = env.DB.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM pg_replication_slots WHERE slot_name = $1), (SELECT count(*) FROM pg_database WHERE datname = $2)`, slot, b.name).
		Scan(&slots, &databases)
	if err != nil || slots+databases != 0 {
		t.Errorf("%d slots and %d databases are left, %v", slots, databases, err)
	}
}
