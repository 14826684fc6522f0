package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// fact is what the constant of a fact's name says of it: OrderCreated Name = "order.created" // Order; what it means.
type fact struct{ name, shape, means string }

func (f fact) file() string { return "api/events/" + f.name + ".schema.json" }

// readFacts finds every constant of type Name.
func readFacts(dir string) ([]fact, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var facts []fact
	for _, path := range paths {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return nil, err
		}
		for _, decl := range file.Decls {
			constants, ok := decl.(*ast.GenDecl)
			if !ok || constants.Tok != token.CONST {
				continue
			}
			for _, spec := range constants.Specs {
				if f, ok := factOf(spec.(*ast.ValueSpec)); ok {
					facts = append(facts, f)
				}
			}
		}
	}
	if len(facts) == 0 {
		return nil, fmt.Errorf("no facts in %s", dir)
	}
	slices.SortFunc(facts, func(a, b fact) int { return strings.Compare(a.name, b.name) })
	return facts, nil
}

func factOf(spec *ast.ValueSpec) (fact, bool) {
	typ, ok := spec.Type.(*ast.Ident)
	if !ok || typ.Name != "Name" || len(spec.Values) != 1 {
		return fact{}, false
	}
	literal, ok := spec.Values[0].(*ast.BasicLit)
	if !ok {
		return fact{}, false
	}
	name, err := strconv.Unquote(literal.Value)
	comment := strings.TrimSpace(spec.Comment.Text())
	end := strings.IndexFunc(comment, func(r rune) bool { return r == ' ' || r == ';' })
	if end < 0 {
		end = len(comment)
	}
	return fact{name: name, shape: comment[:end], means: strings.TrimLeft(comment[end:], "; ")}, err == nil
}
