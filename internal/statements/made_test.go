package statements_test

import (
	"context"
	_ "embed"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/postgres"
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

//go:embed made_test.go
var madeSource string

// moment is when the rows are made and statements are explained, by Postgres' clock: each run sees the same.
var moment = time.Date(2026, 1, 14, 12, 0, 0, 0, time.UTC)

// newMade gives connections to two databases with the same under way: one with few finished orders, one with many. Nothing looks after
// them but the test.
func newMade(t *testing.T) (withFew, withMany *made) {
	t.Helper()
	s := testkit.KeptPostgres(t, "statements", moment, []string{baseSQL, rowsSQL, madeSource}, func(server string) { makeBoth(t, server) })
	still := func() { // time does not go on while statements are explained
		if err := s.Postgres().SetClock(time.Until(moment)); err != nil {
			t.Error(err)
		}
	}
	return toExplain(t, s.PostgresURL(), "few", still), toExplain(t, s.PostgresURL(), "many", still)
}

func makeBoth(t *testing.T, server string) {
	t.Helper()
	conn := open(t, server, "postgres")
	for _, sql := range []string{
		"ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()", "CREATE DATABASE few",
	} {
		run(t, conn, sql)
	}
	if err := postgres.Migrate(t.Context(), urlOf(t, server, "few")); err != nil {
		t.Fatal(err)
	}
	withFew := open(t, server, "few")
	run(t, withFew, "DO $$ BEGIN FOR i IN 1..30000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$") // for facts to have been said in
	run(t, withFew, strings.ReplaceAll(baseSQL, "now()", "timestamptz '"+moment.Format(time.RFC3339)+"'"))
	fill(t, withFew, 1-few, 10_000)
	_ = withFew.Close(t.Context())
	run(t, conn, "CREATE DATABASE many TEMPLATE few STRATEGY file_copy")
	withMany := open(t, server, "many")
	fill(t, withMany, 1-many, -few)
	_ = withMany.Close(t.Context())
	_ = conn.Close(t.Context())
}

// fill makes the rows of the numbers from one to another, and has Postgres know of them.
func fill(t *testing.T, conn *pgx.Conn, from, to int) {
	t.Helper()
	// Neither triggers nor references are asked: what is made here keeps them.
	run(t, conn, "SET session_replication_role = replica;"+strings.NewReplacer("$1", strconv.Itoa(from), "$2", strconv.Itoa(to)).Replace(rowsSQL)+"RESET session_replication_role")
	// Of 300 rows each: more than any table has. Of a part of them, which is drawn anew by each run, follow other plans each time.
	run(t, conn, "SET default_statistics_target = 2000")
	run(t, conn, "VACUUM (INDEX_CLEANUP ON, ANALYZE)")
}

func open(t *testing.T, server, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), urlOf(t, server, database))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	set(t, conn)
	return conn
}

func set(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for _, sql := range []string{"SET jit = off", "SET search_path = made, public", "SET timezone = 'UTC'"} {
		run(t, conn, sql)
	}
}

func urlOf(t *testing.T, server, database string) string {
	t.Helper()
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	at.Path = "/" + database
	return at.String()
}

func run(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if err := conn.PgConn().Exec(t.Context(), sql).Close(); err != nil {
		t.Fatalf("%v: %.300s", err, sql)
	}
}
