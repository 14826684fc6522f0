package app_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

const root = "../.."

// ending is a row of docs/retention.md.
type ending struct{ table, what, when, job, test string }

// endings reads the table of docs/retention.md.
func endings(t *testing.T) (all []ending) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs/retention.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 5 {
			t.Fatalf("docs/retention.md: not five cells: %s", line)
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, ending{strings.Trim(cells[0], "`"), cells[1], cells[2], cells[3], cells[4]})
	}
	return all
}

// Every table in every schema of the database is named in docs/retention.md, and nothing else.
func TestEveryTableHasItsEnd(t *testing.T) {
	t.Parallel()
	rows, err := testkit.New(t).DB.Query(t.Context(), `
		SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'f', 'm') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
		ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, e := range endings(t) {
		named = append(named, e.table)
		e.check(t)
	}
	slices.Sort(named)
	if diff := cmp.Diff(tables, named); diff != "" {
		t.Errorf("tables (-of the database +in docs/retention.md):\n%s", diff)
	}
}

var aTest = regexp.MustCompile("^`(Test[A-Za-z]+)` in `(internal/[a-z/]+)`$")

// check wants a reason of what is kept, and of all else a moment, a job that there is, and a test that there is.
func (e ending) check(t *testing.T) {
	t.Helper()
	if reason, kept := strings.CutPrefix(e.what, "kept: "); kept {
		if len(reason) < len("one row") || e.when+e.job+e.test != "–––" {
			t.Errorf("%s is kept, and says %+v", e.table, e)
		}
		return
	}
	if e.what == "" || len(e.when) < 2 {
		t.Errorf("%s does not say what ends its rows and when", e.table)
	}
	if !strings.Contains(sources(t, "internal/app", "background.go"), `"`+e.job+`"`) {
		t.Errorf("%s: there is no job %q", e.table, e.job)
	}
	where := aTest.FindStringSubmatch(e.test)
	if where == nil || !strings.Contains(sources(t, where[2], "*_test.go"), "\nfunc "+where[1]+"(") {
		t.Errorf("%s: there is no test %s", e.table, e.test)
	}
}

// sources is the text of the files of a package.
func sources(t *testing.T, pkg, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s/%s: %d files, %v", pkg, pattern, len(files), err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
