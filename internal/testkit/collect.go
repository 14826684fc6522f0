package testkit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
		return errors.Join(checkSent(file, everything), os.RemoveAll(dir))
	}, nil
}

// checkSent compares what was sent with the list: all of it is listed. After a run of everything it names what is listed
// and was not sent.
func checkSent(file string, everything bool) error {
	sent, err := ReadSent(file)
	if err != nil {
		return err
	}
	listed, err := statements.Listed()
	if err != nil {
		return err
	}
	unsent := map[string]statements.Statement{}
	known := map[string]bool{}
	for _, s := range listed {
		known[s.Key()] = true
		if s.Allowed["unsent"] == "" {
			unsent[s.Key()] = s
		}
	}
	var wrong []string
	for _, s := range sent {
		key := statements.Normal(s.SQL)
		delete(unsent, key)
		for part := range unsent { // the auditor asks for one within another
			if strings.Contains(key, "("+part+")") {
				delete(unsent, part)
			}
		}
		if !known[key] {
			wrong = append(wrong, fmt.Sprintf("%s sends a statement that internal/statements does not list; `make statements` lists it:\n%s\n", s.Place, s.SQL))
		}
	}
	if everything {
		for _, s := range unsent {
			fmt.Fprintf(os.Stderr, "no test sends a statement of package %s (%s); add a test, or take it out and run `make statements`:\n%s\n\n", s.Package, s.Place, s.SQL)
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "\n"))
	}
	return nil
}
