package statements

import (
	"go/ast"
	"go/token"
	"regexp"
	"strconv"
)

// formatted gives the text of a call of fmt.Sprintf.
func (p *pack) formatted(call *ast.CallExpr) (string, bool) {
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || f.Sel.Name != "Sprintf" || len(call.Args) == 0 {
		return "", false
	}
	return verb.ReplaceAllString(p.text(call.Args[0]), gap), true
}

var verb = regexp.MustCompile(`%[-+# 0-9.]*(\[[0-9]+\])?[a-z]`)

// text gives what an expression is, as far as that can be seen.
func (p *pack) text(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			text, _ := strconv.Unquote(e.Value) // it was parsed
			return text
		}
	case *ast.ParenExpr:
		return p.text(e.X)
	case *ast.BinaryExpr:
		if e.Op == token.ADD {
			return p.text(e.X) + p.text(e.Y)
		}
	case *ast.Ident:
		if value, ok := p.values[e.Name]; ok && isConstant(e, value) {
			return p.text(value)
		}
	case *ast.CallExpr:
		if text, ok := p.formatted(e); ok {
			return text
		}
	}
	return gap
}

// isConstant reports whether a name stands for that value alone: not where a function has a variable of that name.
func isConstant(name *ast.Ident, value ast.Expr) bool {
	if name.Obj == nil { // declared in another file of the package
		return true
	}
	spec, ok := name.Obj.Decl.(*ast.ValueSpec)
	if !ok {
		return false
	}
	for _, v := range spec.Values {
		if v == value {
			return true
		}
	}
	return false
}
