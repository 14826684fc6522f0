package statements_test

import (
	"context"
	_ "embed"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// How many numbers below 1 have rows, first and then.
const (
	few  = 50_000
	many = 4 * few
)

//go:embed testdata/base.sql
var baseSQL string

//go:embed testdata/rows.sql
var rowsSQL string

// newMade makes a database with what is under way and few finished orders. Nothing looks after it but the test.
func newMade(t *testing.T) *pgx.Conn {
	t.Helper()
	env, _ := testkit.PrivatePostgres(t)
	conn, err := pgx.Connect(t.Context(), env.PostgresURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	for _, sql := range []string{
		"ALTER SYSTEM SET autovacuum = off", "ALTER SYSTEM SET max_wal_size = '256MB'", "SELECT pg_reload_conf()", "SET jit = off",
		"DO $$ BEGIN FOR i IN 1..30000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$", // for facts to have been said in
		baseSQL,
		"SET search_path = made, public", "SET timezone = 'UTC'",
		// Of 300 rows each: more than any table has. Of a part of them, which is drawn anew by each run, follow other plans each time.
		"SET default_statistics_target = 2000",
	} {
		run(t, conn, sql)
	}
	fill(t, conn, 1-few, 10_000)
	return conn
}

// fill makes the rows of the numbers from one to another, and has Postgres know of them.
func fill(t *testing.T, conn *pgx.Conn, from, to int) {
	t.Helper()
	// Neither triggers nor references are asked: what is made here keeps them.
	run(t, conn, "SET session_replication_role = replica;"+strings.NewReplacer("$1", strconv.Itoa(from), "$2", strconv.Itoa(to)).Replace(rowsSQL)+"RESET session_replication_role")
	run(t, conn, "VACUUM (INDEX_CLEANUP ON, ANALYZE)") // what was taken back leaves nothing in indexes either
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if err := conn.PgConn().Exec(t.Context(), sql).Close(); err != nil {
		t.Fatalf("%v: %.300s", err, sql)
	}
}
