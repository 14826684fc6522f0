//go:build drill

package archive_test

import (
	"cmp"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/archive"
)

// program finds one of PostgreSQL's, in its newest release.
func program(t *testing.T, name string) string {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // it errs on a bad pattern alone
	onPath, _ := exec.LookPath(name)
	if len(found) > 0 {
		onPath = slices.Max(found)
	}
	return cmp.Or(onPath, name)
}

// A month is dumped, dropped and brought back by the very commands of docs/operations.md.
func TestDrillAMonthIsDumped(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	month := b.run(archive.Options{}).Months[0]
	before := b.state(kept...)
	file := filepath.Join(t.TempDir(), "month.dump")
	do := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), program(t, name), args...).CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	do("pg_dump", b.env.PostgresURL, "--format=custom", "--table="+month.Table, "--file="+file)
	do("pg_restore", "--list", file)
	do("psql", b.env.PostgresURL, "-c", "ALTER TABLE archive.orders DETACH PARTITION "+month.Table+" CONCURRENTLY")
	do("psql", b.env.PostgresURL, "-c", "DROP TABLE "+month.Table)
	if n := b.count(`SELECT count(*) FROM archive.orders`); n != old-month.Orders {
		t.Errorf("%d documents are left", n)
	}
	do("pg_restore", "--dbname="+b.env.PostgresURL, "--section=pre-data", "--section=data", file)
	if diff := godiff.Diff(before, b.state(kept...)); diff != "" {
		t.Errorf("(-before +brought back):\n%s", diff)
	}
}
