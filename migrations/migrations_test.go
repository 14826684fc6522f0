package migrations_test

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/migrations"
)

// created matches the definition of a table with the comment before it.
var created = regexp.MustCompile(`(?m)((?:^--.*\n)*)^CREATE TABLE ([a-z_.]+) \(`)

// Each table is defined once, and the comment before it says what ends its rows, or that they stay.
func TestEveryTableIsDefinedOnceAndSaysWhatEndsItsRows(t *testing.T) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	in := map[string]string{}
	for _, name := range names {
		body, err := fs.ReadFile(migrations.Files, name)
		if err != nil {
			t.Fatal(err)
		}
		tables := created.FindAllStringSubmatch(string(body), -1)
		if said := strings.Count(string(body), "\nCREATE TABLE "); said != len(tables) {
			t.Errorf("%s: %d tables of %d were read", name, len(tables), said)
		}
		for _, table := range tables {
			comment := strings.Join(strings.Fields(strings.ReplaceAll(table[1], "--", "")), " ")
			if !strings.Contains(comment, "Rows end ") && !strings.Contains(comment, "Rows stay") && !strings.Contains(comment, "One row") {
				t.Errorf("%s: the comment of %s says neither what ends its rows nor that they stay", name, table[2])
			}
			if before, twice := in[table[2]]; twice {
				t.Errorf("%s: %s is defined in %s, too", name, table[2], before)
			}
			in[table[2]] = name
		}
	}
	if len(in) < 30 {
		t.Errorf("only these tables were found: %v", in)
	}
}
