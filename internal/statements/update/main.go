// Command update brings the list of statements up to date with what tests have sent and with the source:
//
//	go run ./internal/statements/update [FILE]
//
// What was sent, by FILE, and is not listed is added, and so is what the source has in one piece. What it does not have any more goes;
// where a statement was changed in its place, it takes over what is written by hand.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/holdfast-checkout/holdfast/internal/statements"
	"github.com/holdfast-checkout/holdfast/internal/testkit"
)

func main() {
	if err := update(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "update:", err)
		os.Exit(1)
	}
}

func update(args []string) error {
	var sent []testkit.Sent
	var err error
	if len(args) > 0 {
		if sent, err = testkit.ReadSent(args[0]); err != nil {
			return err
		}
	}
	listed, err := statements.Listed()
	if err != nil {
		return err
	}
	texts, err := statements.Source(".")
	if err != nil {
		return err
	}
	kept, gone, wrong := sorted(texts, add(listed, sent))
	return errors.Join(wrong, statements.Write(filepath.Join("internal", "statements", "list"), append(kept, changed(texts, kept, gone)...)))
}

// add adds what was sent and is not listed, and says what else is explained with by now.
func add(listed []statements.Statement, sent []testkit.Sent) []statements.Statement {
	at := map[string]int{}
	for i, s := range listed {
		at[s.Key()] = i
	}
	for _, s := range sent {
		i, known := at[statements.Normal(s.SQL)]
		switch {
		case !known:
			listed = append(listed, statements.Statement{SQL: s.SQL, Args: s.Args, Place: s.Place})
		case listed[i].CountArgs() != listed[i].Parameters():
			listed[i].Args = s.Args
		}
	}
	return listed
}

// sorted says where in the source statements are, and which are not there any more.
func sorted(texts []statements.Text, all []statements.Statement) (kept, gone []statements.Statement, wrong error) {
	for _, s := range all {
		from, found := statements.Origin(texts, s)
		switch {
		case found:
			s.Package, s.Place = from.Package, from.Place
			kept = append(kept, s)
		case s.Package == "":
			wrong = errors.Join(wrong, fmt.Errorf("%s sends what is not seen in the source:\n%s", s.Place, s.SQL))
		default:
			gone = append(gone, s)
		}
	}
	return kept, gone, wrong
}

// changed gives what is in the source and not listed, with what is written about the statements that it has taken the place of.
func changed(texts []statements.Text, kept, gone []statements.Statement) (all []statements.Statement) {
	for _, text := range texts {
		if !text.IsWhole() || slices.ContainsFunc(kept, text.Matches) {
			continue
		}
		at := slices.IndexFunc(gone, func(s statements.Statement) bool { return s.Package == text.Package && s.Place == text.Place })
		if at < 0 {
			all = append(all, statements.Statement{Package: text.Package, Place: text.Place, SQL: text.SQL})
			continue
		}
		all = append(all, statements.Statement{
			Package: text.Package, Place: text.Place, SQL: text.SQL, Args: args(text, gone[at]), Allowed: gone[at].Allowed,
		})
		gone = slices.Delete(gone, at, at+1)
	}
	return all
}

// args are those of the statement that was there, if they are as many.
func args(text statements.Text, was statements.Statement) string {
	if was.CountArgs() != (statements.Statement{SQL: text.SQL}).Parameters() {
		return ""
	}
	return was.Args
}
