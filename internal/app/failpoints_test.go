package app_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-checkout/holdfast/internal/saga"
)

// elsewhere are the points that an instance with a sandbox does not come by: it has no charges that are opened first, and archives
// nothing. A charger is killed there by the tests of internal/payment that have such a provider, an archiver by those of
// internal/archive.
var elsewhere = []string{"asking open", "asked open", "archiving", "archived", "archive month made"}

// No failpoint is left out: each that the source has is one at which an instance is killed, in the strategies that come by it.
func TestEveryFailpointIsACrash(t *testing.T) {
	t.Parallel()
	killed := map[string]bool{}
	for _, point := range elsewhere {
		killed[point] = true
	}
	for _, way := range saga.All() {
		for _, c := range crashesOf(way) {
			killed[c.point] = true
		}
	}
	there := failpoints(t, filepath.Join("..", ".."))
	for _, way := range saga.All() { // the words of these are no literals
		for _, row := range way.Steps {
			there["hearing "+string(row.Do.Who)+" "+row.Do.Name] = true
			there["heard "+string(row.Do.Who)+" "+row.Do.Name] = true
		}
	}
	delete(there, "hearing …")
	delete(there, "heard …")
	if diff := cmp.Diff(slices.Sorted(maps.Keys(there)), slices.Sorted(maps.Keys(killed))); diff != "" {
		t.Errorf("failpoints (-in the source +killed at):\n%s", diff)
	}
}

// failpoints gives the names of those that the source reaches. A word that a function is handed is looked up where it is called; one
// that comes from elsewhere is left as "…".
func failpoints(t *testing.T, root string) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, dir := range dirsThat(t, root, "failpoint.Reach(") {
		paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		var files []*ast.File
		for _, path := range slices.DeleteFunc(paths, func(path string) bool { return strings.HasSuffix(path, "_test.go") }) {
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, file)
		}
		for _, file := range files {
			for _, decl := range file.Decls {
				for _, call := range callsOf(decl, "Reach") {
					for _, name := range spelled(call, decl, files) {
						names[name] = true
					}
				}
			}
		}
	}
	return names
}

// dirsThat are the folders with source that says something, tests left out.
func dirsThat(t *testing.T, root, say string) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if dir := filepath.Dir(path); bytes.Contains(source, []byte(say)) && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// callsOf are the calls of a function or method of that name within something.
func callsOf(within ast.Node, name string) (calls []*ast.CallExpr) {
	ast.Inspect(within, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == name {
				calls = append(calls, call)
			}
		}
		return true
	})
	return calls
}

// spelled gives the names that a call of Reach in a function may have, one for each word that the function is called with.
func spelled(reach *ast.CallExpr, in ast.Decl, files []*ast.File) []string {
	first, _ := literal(reach.Args[0])
	switch len(reach.Args) {
	case 1:
		return []string{first}
	case 2:
		var names []string
		for _, word := range wordsFor(reach.Args[1], in, files) {
			names = append(names, first+" "+word)
		}
		if names != nil {
			return names
		}
	}
	return []string{first + " …"}
}

// wordsFor are the literals that are handed to a function as the parameter of that name.
func wordsFor(name ast.Expr, in ast.Decl, files []*ast.File) (words []string) {
	f, isFunc := in.(*ast.FuncDecl)
	id, isName := name.(*ast.Ident)
	if !isFunc || !isName {
		return nil
	}
	at, found := 0, false
	for _, field := range f.Type.Params.List {
		for _, parameter := range field.Names {
			if found = found || parameter.Name == id.Name; !found {
				at++
			}
		}
	}
	for _, file := range files {
		for _, call := range callsOf(file, f.Name.Name) {
			if word, ok := literal(call.Args[min(at, len(call.Args)-1)]); found && ok {
				words = append(words, word)
			}
		}
	}
	return words
}

func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok {
		return "", false
	}
	word, err := strconv.Unquote(lit.Value)
	return word, err == nil
}
