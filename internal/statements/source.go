package statements

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

// Text is a statement as the source has it, with gaps where it is put together as the program runs.
type Text struct {
	Package, Place string
	SQL            string // with gap for a gap
	Normal         string
	like           *regexp.Regexp
}

// gap stands for what is not known before the program runs.
const gap = "\x00"

// Matches reports whether a statement may have come from this text, or asks for what this text asks for within brackets.
func (t Text) Matches(s Statement) bool {
	if t.IsWhole() {
		key := s.Key()
		return key == t.Normal || strings.Contains(key, "("+t.Normal+")")
	}
	return t.like.MatchString(s.Key())
}

// IsWhole reports whether the text is all of the statement.
func (t Text) IsWhole() bool { return !strings.Contains(t.SQL, gap) }

// Origin gives the text that a statement most likely came from: the longest of those that match.
func Origin(texts []Text, s Statement) (from Text, found bool) {
	for _, t := range texts {
		if t.Matches(s) && (!found || len(t.Normal) > len(from.Normal)) {
			from, found = t, true
		}
	}
	return from, found
}

// Apart are packages that send statements beside the product: they measure it, compare it or test it.
var Apart = []string{"bench", "compare", "replay", "stack", "statements", "testkit"}

// Source finds the statements in the source of the product below root.
func Source(root string) ([]Text, error) {
	var all []Text
	for _, top := range []string{"internal", "cmd/holdfast"} {
		err := filepath.WalkDir(filepath.Join(root, top), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case !entry.IsDir():
				return nil
			case isApart(path) || entry.Name() == "testdata":
				return fs.SkipDir
			}
			some, err := packageTexts(path)
			all = append(all, some...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func isApart(path string) bool {
	for _, name := range Apart {
		if strings.HasSuffix(filepath.ToSlash(path), "internal/"+name) {
			return true
		}
	}
	return false
}

// packageTexts finds the statements of one package.
func packageTexts(dir string) ([]Text, error) {
	files := token.NewFileSet()
	p, parsed, err := parsePackage(files, dir)
	if err != nil {
		return nil, err
	}
	for _, file := range parsed {
		p.uses(file)
	}
	for _, file := range parsed {
		p.file = filepath.Base(files.Position(file.Pos()).Filename)
		for _, decl := range file.Decls {
			p.look(decl)
		}
	}
	return p.found, nil
}

// Constant gives a text constant of a package.
func Constant(dir, name string) (string, error) {
	p, _, err := parsePackage(token.NewFileSet(), dir)
	if err != nil {
		return "", err
	}
	value, found := p.values[name]
	if !found {
		return "", fmt.Errorf("%s has no constant %s", dir, name)
	}
	return p.text(value), nil
}

func parsePackage(files *token.FileSet, dir string) (*pack, []*ast.File, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, nil, err
	}
	p := &pack{name: filepath.Base(dir), values: map[string]ast.Expr{}, alone: map[string]bool{}, joined: map[string]bool{}, longer: map[*ast.Object]bool{}}
	var parsed []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, file)
		p.declare(file)
	}
	return p, parsed, nil
}

// pack is a package that is looked through.
type pack struct {
	name, file string
	values     map[string]ast.Expr  // of constants and variables of the package
	alone      map[string]bool      // names that are used otherwise than as a part of a longer text
	joined     map[string]bool      // names that are used as a part of one
	longer     map[*ast.Object]bool // variables that a text is added to
	found      []Text
}

func (p *pack) declare(file *ast.File) {
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for i, name := range spec.Names {
				if i < len(spec.Values) {
					p.values[name.Name] = spec.Values[i]
				}
			}
		}
		return true
	})
}

// uses notes which names are used alone, and which in longer texts.
func (p *pack) uses(file *ast.File) {
	within := map[*ast.Ident]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			for _, side := range []ast.Expr{n.X, n.Y} {
				if name, ok := side.(*ast.Ident); ok && n.Op == token.ADD {
					within[name] = true
					p.joined[name.Name] = true
				}
			}
		case *ast.AssignStmt:
			for _, to := range n.Lhs {
				if name, ok := to.(*ast.Ident); ok {
					within[name] = true
					p.longer[name.Obj] = p.longer[name.Obj] || n.Tok == token.ADD_ASSIGN
				}
			}
		case *ast.ValueSpec:
			for _, name := range n.Names {
				within[name] = true
			}
		case *ast.Ident:
			if !within[n] {
				p.alone[n.Name] = true
			}
		}
		return true
	})
}

// look finds the statements of a declaration.
func (p *pack) look(decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Body != nil {
			p.walk(decl.Body, receiver(decl)+decl.Name.Name)
		}
	case *ast.GenDecl:
		p.walk(decl, "")
	}
}

func receiver(f *ast.FuncDecl) string {
	if f.Recv == nil || len(f.Recv.List) == 0 {
		return ""
	}
	of := f.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	if name, ok := of.(*ast.Ident); ok {
		return name.Name + "."
	}
	return ""
}

func (p *pack) walk(n ast.Node, place string) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, value := range n.Values {
				name := n.Names[i].Name
				if p.joined[name] && !p.alone[name] {
					continue // a part of others
				}
				at := place
				if at == "" {
					at = name
				}
				p.walk(value, at)
			}
			return false
		case *ast.AssignStmt:
			return !p.grown(n, place)
		case *ast.CallExpr:
			if text, ok := p.formatted(n); ok {
				p.add(text, place)
				return false
			}
		case *ast.BinaryExpr:
			if text := p.text(n); n.Op == token.ADD && strings.Trim(text, gap) != "" {
				p.add(text, place)
				return !IsPlanned(text)
			}
		case *ast.BasicLit:
			p.add(p.text(n), place)
		}
		return true
	})
}

// grown adds a text that is kept in a variable and made longer later.
func (p *pack) grown(n *ast.AssignStmt, place string) bool {
	if len(n.Lhs) != 1 || len(n.Rhs) != 1 {
		return false
	}
	name, ok := n.Lhs[0].(*ast.Ident)
	if !ok || n.Tok != token.DEFINE || !IsPlanned(p.text(n.Rhs[0])) {
		return false
	}
	text := p.text(n.Rhs[0])
	if p.longer[name.Obj] {
		text += gap
	}
	p.add(text, place)
	return true
}

func (p *pack) add(text, place string) {
	if !IsPlanned(text) {
		return
	}
	normal := Normal(text)
	parts := strings.Split(normal, gap)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	like := strings.Join(parts, `.*`)
	p.found = append(p.found, Text{
		Package: p.name, Place: p.file + " " + place, SQL: text, Normal: normal, like: regexp.MustCompile(`^` + like + `$|\(` + like + `\)`),
	})
}
