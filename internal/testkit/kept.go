package testkit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/stack"
)

// KeptPostgres starts a Postgres that this test alone has, with a clock that stands at a moment when the test is given it. What fill
// puts into it is kept for later runs, in the user's cache folder, and is not made again before the migrations change or what it is
// made of. kind is the name that it is kept by.
func KeptPostgres(t testing.TB, kind string, at time.Time, madeOf []string, fill func(server string)) *stack.Stack {
	t.Helper()
	version := versionOf(t, madeOf)
	var kept string
	cache, err := os.UserCacheDir()
	if err == nil { // else it is made each time
		kept = filepath.Join(cache, "holdfast-test", kind+"-"+version)
	}
	s := private(t, stack.Options{RedisURL: given, RabbitURL: given, Clocks: true, Kept: kept})
	setClock(t, s, at)
	if isFilled(t, s, version) {
		now := time.Now()
		_ = os.Chtimes(kept, now, now) // it is of use
		return s
	}
	fill(s.PostgresURL())
	mark(t, s, version)
	if kept == "" {
		return s
	}
	if err := s.KeepPostgres(t.Context(), kept); err != nil {
		if s.Postgres().PID() == 0 {
			t.Fatal(err)
		}
		t.Logf("what was made is not kept for the next run: %v", err)
	}
	throwAway(t, filepath.Dir(kept), kind)
	setClock(t, s, at)
	return s
}

// versionOf changes with every change of a migration, and of what else something is made of.
func versionOf(t testing.TB, madeOf []string) string {
	t.Helper()
	migrated, err := templateName()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(migrated+strings.Join(madeOf, "\x00"))))[:16]
}

func setClock(t testing.TB, s *stack.Stack, at time.Time) {
	t.Helper()
	if err := s.Postgres().SetClock(time.Until(at)); err != nil {
		t.Fatal(err)
	}
}

// isFilled reports whether the server has all of what was kept, which says so itself: it may have been thrown away meanwhile.
func isFilled(t testing.TB, s *stack.Stack, version string) (filled bool) {
	t.Helper()
	err := onServer(t.Context(), s.PostgresURL(), func(ctx context.Context, conn *pgx.Conn) error {
		const sql = "SELECT shobj_description(oid, 'pg_database') IS NOT DISTINCT FROM $1 FROM pg_database WHERE datname = 'postgres'"
		return conn.QueryRow(ctx, sql, version).Scan(&filled)
	})
	if err != nil {
		t.Fatal(err)
	}
	return filled
}

func mark(t testing.TB, s *stack.Stack, version string) {
	t.Helper()
	err := onServer(t.Context(), s.PostgresURL(), func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "COMMENT ON DATABASE postgres IS '"+version+"'")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// keptVersions are how many versions of a kind are kept: that of the branch in work, and of the one before.
const keptVersions = 2

// throwAway removes what has not been of use for longest. Each is moved first, so that whoever copies it sees that it is gone.
func throwAway(t testing.TB, cache, kind string) {
	t.Helper()
	all, _ := filepath.Glob(filepath.Join(cache, kind+"-*"))
	used := func(path string) (at time.Time) {
		if info, err := os.Stat(path); err == nil {
			at = info.ModTime()
		}
		return at
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Compare(used(b).UnixNano(), used(a).UnixNano()) })
	for _, old := range all[min(keptVersions, len(all)):] {
		gone := filepath.Join(cache, "gone-"+filepath.Base(old))
		if os.Rename(old, gone) == nil {
			_ = os.RemoveAll(gone)
		}
	}
}
