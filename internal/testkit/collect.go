package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/holdfast-checkout/holdfast/internal/statements"
)

// Collect begins to note what is sent by this process and those that it starts, if nobody does yet. done says what of it is wrong.
func Collect() (done func(everything bool) error, err error) {
	if os.Getenv(SentVariable) != "" {
		return func(bool) error { return nil }, nil
	}
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "sent")
	if err := os.Setenv(SentVariable, file); err != nil {
		return nil, err
	}
	return func(everything bool) error {
		return errors.Join(checkSent(".", file, everything), os.RemoveAll(dir))
	}, nil
}

// checkSent compares what was sent with the list: all of it is listed, and after a run of everything all that the source below root has
// in one piece was sent. Of the rest it is not known whether the source still makes it: that is named alone.
func checkSent(root, file string, everything bool) error {
	sent, err := ReadSent(file)
	if err != nil {
		return err
	}
	listed, err := statements.Listed()
	if err != nil {
		return err
	}
	unlisted, unsent := compareSent(listed, sent)
	var wrong []string
	for _, s := range unlisted {
		wrong = append(wrong, fmt.Sprintf("%s sends a statement that internal/statements does not list; `make statements` lists it:\n%s\n", s.Place, s.SQL))
	}
	if everything && len(unsent) > 0 {
		texts, err := statements.Source(root)
		if err != nil {
			return err
		}
		for _, s := range unsent {
			if !slices.ContainsFunc(texts, func(t statements.Text) bool { return t.IsWhole() && t.Matches(s) }) {
				fmt.Fprintf(os.Stderr, "package %s (%s) may not put a statement together like this any more, take it out of internal/statements/list then:\n%s\n\n",
					s.Package, s.Place, s.SQL)
				continue
			}
			wrong = append(wrong, fmt.Sprintf("no test sends a statement of package %s (%s); add a test, take it out of the source and of "+
				"internal/statements/list, or say there why none can:\n%s\n", s.Package, s.Place, s.SQL))
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}

// compareSent gives what was sent and is not listed, and what is listed and was not sent though it can be.
func compareSent(listed []statements.Statement, sent []Sent) (unlisted []Sent, unsent []statements.Statement) {
	known := map[string]bool{}
	for _, s := range listed {
		known[s.Key()] = true
	}
	keys := map[string]bool{}
	for _, s := range sent {
		key := statements.Normal(s.SQL)
		keys[key] = true
		if !known[key] {
			unlisted = append(unlisted, s)
		}
	}
	for _, s := range listed {
		if s.Allowed["unsent"] == "" && !keys[s.Key()] && !isWithin(s.Key(), keys) {
			unsent = append(unsent, s)
		}
	}
	return unlisted, unsent
}

// isWithin reports whether a statement was sent as a part of another, as the auditor asks.
func isWithin(part string, keys map[string]bool) bool {
	for key := range keys {
		if strings.Contains(key, "("+part+")") {
			return true
		}
	}
	return false
}
