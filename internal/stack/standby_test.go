package stack

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// A standby has what the primary commits, also after both were stopped and started again.
func TestAStandbyFollows(t *testing.T) {
	t.Parallel()
	o := Options{Dir: filepath.Join(newDir(t), "pair"), RedisURL: "redis://127.0.0.1:1", RabbitURL: "amqp://127.0.0.1:1", Standby: true}
	s := start(t, o)
	follows(t, s, "first")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	follows(t, start(t, o), "second")
	o.PostgresURL = "postgres://127.0.0.1:1"
	if err := o.Validate(); err == nil {
		t.Error("a standby of somebody else's server was not refused")
	}
}

// follows commits something, and waits until the standby has it.
func follows(t *testing.T, s *Stack, table string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	primary, err := pgx.Connect(ctx, s.PostgresURL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = primary.Close(ctx) }()
	if _, err := primary.Exec(ctx, `CREATE TABLE `+table+`()`); err != nil {
		t.Fatal(err)
	}
	copied, err := pgx.Connect(ctx, s.Standby().URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = copied.Close(ctx) }()
	for there, follower := false, true; !there || !follower; {
		err = copied.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL, pg_is_in_recovery()`, table).Scan(&there, &follower)
		if err != nil {
			t.Fatalf("table there: %v, follows: %v: %v", there, follower, err)
		}
	}
	var name string
	err = primary.QueryRow(ctx, `SELECT application_name FROM pg_stat_replication`).Scan(&name)
	if err != nil || name != StandbyName {
		t.Errorf("the standby is known as %q: %v", name, err)
	}
}
