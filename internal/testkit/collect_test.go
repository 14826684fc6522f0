package testkit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// A run of all tests fails where one statement was not sent, a run of some does not. Each fails where one that was sent is not listed.
func TestWhatNoTestSendsFailsARunOfAll(t *testing.T) {
	t.Parallel()
	listed, err := statements.Listed()
	if err != nil {
		t.Fatal(err)
	}
	root := filepath.Join("..", "..")
	texts, err := statements.Source(root)
	if err != nil {
		t.Fatal(err)
	}
	var all []Sent
	for _, s := range listed {
		if s.Allowed["unsent"] == "" {
			all = append(all, Sent{SQL: s.SQL})
		}
	}
	whole := slices.IndexFunc(all, func(s Sent) bool {
		return slices.ContainsFunc(texts, func(t statements.Text) bool { return t.IsWhole() && t.Normal == statements.Normal(s.SQL) })
	})
	all[0], all[whole] = all[whole], all[0]
	but, left := all[1:], all[0].SQL
	within := append(but[:len(but):len(but)], Sent{SQL: "SELECT json FROM (" + left + ") q LIMIT 10"})
	for _, c := range []struct {
		what       string
		sent       []Sent
		everything bool
		want       string // in the error, "" for none
	}{
		{"all", all, true, ""},
		{"all but one", but, true, left},
		{"some", all[:1], false, ""},
		{"one as a part of another, which is not listed", within, true, "does not list"},
		{"one that is not listed", append(all[:1:1], Sent{SQL: "SELECT nothing FROM anywhere"}), false, "SELECT nothing FROM anywhere"},
	} {
		err := checkSent(root, fileOf(t, c.sent), c.everything)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
	}
}

func fileOf(t *testing.T, sent []Sent) string {
	t.Helper()
	var text []byte
	for _, s := range sent {
		line, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		text = append(append(text, line...), '\n')
	}
	file := filepath.Join(t.TempDir(), "sent")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
