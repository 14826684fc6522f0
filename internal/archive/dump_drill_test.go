//go:build drill

package archive_test

import (
	"os/exec"
	"path/filepath"
	"testing"

	godiff "github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/archive"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

// A month is dumped, dropped and brought back by the very commands of docs/operations.md.
func TestDrillAMonthIsDumped(t *testing.T) {
	t.Parallel()
	b := newBooks(t)
	month := b.run(archive.Options{}).Months[0]
	before := b.state(kept...)
	file := filepath.Join(t.TempDir(), "month.dump")
	do := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), testkit.PostgresProgram(name), args...).CombinedOutput(); err != nil {
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
