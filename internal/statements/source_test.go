package statements_test

import (
	"path/filepath"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// What the source has is listed, and what is listed is in the source. A run of all tests fails where something is listed and was not sent.
func TestSourceIsListed(t *testing.T) {
	t.Parallel()
	texts, err := statements.Source(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	listed, err := statements.Listed()
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if !isListed(text, listed) {
			t.Errorf("package %s, %s has a statement that is not listed: run `make statements ARGS=PACKAGE`\n%q", text.Package, text.Place, text.Normal)
		}
	}
	for _, s := range listed {
		if s.Args != "" && s.CountArgs() != s.Parameters() {
			t.Errorf("a statement of package %s, %s, has %d parameters and is listed with %d: write them, or none", s.Package, s.Place, s.Parameters(), s.CountArgs())
		}
		if from, found := statements.Origin(texts, s); !found {
			t.Errorf("the source has no such statement of package %s (%s) any more: run `make statements`\n%s", s.Package, s.Place, s.SQL)
		} else if from.Package != s.Package || from.Place != s.Place {
			t.Errorf("a statement of package %s, %s, is listed as of %s, %s: run `make statements`", from.Package, from.Place, s.Package, s.Place)
		}
	}
}

func isListed(text statements.Text, listed []statements.Statement) bool {
	for _, s := range listed {
		if text.Matches(s) {
			return true
		}
	}
	return false
}
