package statements

import (
	"cmp"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

//go:embed list/*.sql
var files embed.FS

// Statement is one that the product sends.
type Statement struct {
	Package string // that has its text, like order
	Place   string // in that package, like store.go: load
	Args    string // SQL expressions between commas, which it is explained with; empty: some of the types of its parameters
	SQL     string // as it is sent

	// Why it may do what none should: "scan" a growing table, "filter" out more than it keeps, cost more with "growth"; why no "plan" of it is looked
	// at; or why it is "unsent", as far as can be seen. The reasons are written by hand.
	Allowed map[string]string

	key string
}

// Faults that a statement may be allowed, with a reason.
var Faults = []string{"scan", "filter", "growth", "plan", "unsent"}

// Key tells statements apart.
func (s Statement) Key() string {
	if s.key != "" {
		return s.key
	}
	return Normal(s.SQL)
}

// Parameters counts the parameters of a statement.
func (s Statement) Parameters() (most int) {
	for _, found := range parameter.FindAllStringSubmatch(s.SQL, -1) {
		n, _ := strconv.Atoi(found[1]) // of digits
		most = max(most, n)
	}
	return most
}

var parameter = regexp.MustCompile(`\$([0-9]{1,2})`)

// CountArgs counts what it is explained with.
func (s Statement) CountArgs() int {
	if s.Args == "" {
		return 0
	}
	n, depth, quoted := 1, 0, false
	for _, r := range s.Args {
		switch {
		case r == '\'':
			quoted = !quoted
		case quoted:
		case r == '(' || r == '[':
			depth++
		case r == ')' || r == ']':
			depth--
		case r == ',' && depth == 0:
			n++
		}
	}
	return n
}

// Listed gives the list, in order.
func Listed() ([]Statement, error) {
	all, err := listed()
	return slices.Clone(all), err
}

var listed = sync.OnceValues(func() ([]Statement, error) {
	var all []Statement
	names, err := fs.Glob(files, "list/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		some, err := parse(strings.TrimSuffix(filepath.Base(name), ".sql"), string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, some...)
	}
	return all, nil
})

// parse reads a file of the list: statements with an empty line between them, each after comments that say the rest.
func parse(pkg, text string) ([]Statement, error) {
	var all []Statement
	for block := range strings.SplitSeq(text, "\n\n") {
		s := Statement{Package: pkg, Allowed: map[string]string{}}
		var sql []string
		for line := range strings.Lines(strings.Trim(block, "\n") + "\n") {
			line = strings.TrimRight(line, "\n")
			said, comment := strings.CutPrefix(line, "-- ")
			name, value, _ := strings.Cut(said, ": ")
			fault, allowed := strings.CutPrefix(name, "allow ")
			switch {
			case len(sql) > 0 || !comment:
				sql = append(sql, line)
			case name == "at":
				s.Place = value
			case name == "args":
				s.Args = value
			case allowed && slices.Contains(Faults, fault) && value != "":
				s.Allowed[fault] = value
			default:
				return nil, fmt.Errorf("what is %q? There are: at, args, allow %s, each with a text", line, strings.Join(Faults, ", allow "))
			}
		}
		if s.SQL = strings.Join(sql, "\n"); Normal(s.SQL) == "" {
			continue
		}
		s.key = Normal(s.SQL)
		all = append(all, s)
	}
	return all, nil
}

// Write writes the list into a folder, a file for each package.
func Write(folder string, all []Statement) error {
	all = slices.SortedFunc(slices.Values(all), func(a, b Statement) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(a.Place, b.Place), cmp.Compare(a.Key(), b.Key()))
	})
	texts := map[string]*strings.Builder{}
	for _, s := range all {
		text := texts[s.Package]
		if text == nil {
			text = &strings.Builder{}
			texts[s.Package] = text
		} else {
			text.WriteString("\n")
		}
		text.WriteString(s.block())
	}
	old, err := filepath.Glob(filepath.Join(folder, "*.sql"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if texts[strings.TrimSuffix(filepath.Base(name), ".sql")] == nil {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	for pkg, text := range texts {
		if err := os.WriteFile(filepath.Join(folder, pkg+".sql"), []byte(text.String()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (s Statement) block() string {
	lines := []string{"-- at: " + s.Place}
	if s.Args != "" {
		lines = append(lines, "-- args: "+s.Args)
	}
	for _, fault := range Faults {
		if why := s.Allowed[fault]; why != "" {
			lines = append(lines, "-- allow "+fault+": "+why)
		}
	}
	return strings.Join(append(lines, dedented(s.SQL)), "\n") + "\n"
}

// dedented takes away what all lines begin with, and lines of nothing.
func dedented(sql string) string {
	var lines []string
	depth := -1
	for i, line := range strings.Split(strings.TrimSpace(OfAnyPartition(sql)), "\n") {
		line = strings.TrimRight(line, " \t")
		if strings.TrimSpace(line) == "" {
			continue
		}
		lines = append(lines, line)
		if n := len(line) - len(strings.TrimLeft(line, "\t")); i > 0 && (depth < 0 || n < depth) {
			depth = n
		}
	}
	for i, line := range lines[1:] {
		lines[i+1] = line[max(depth, 0):]
	}
	return strings.Join(lines, "\n")
}
