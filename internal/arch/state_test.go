// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path"
	"slices"
	"strings"
)

func stateRules() []rule {
	return []rule{
		{"no-init", "what runs before main cannot be ordered, refused, given a logger or tested", checkInit, triedInit()},
		{"no-mutable-variable", "what a part needs it gets from its constructor; two gateways must fit into one process, and tests run side by side", checkVariables, triedVariables()},
	}
}

func checkInit(t *tree) []string {
	var found []string
	for _, f := range t.files {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				found = append(found, t.at(fn.Pos(), "has an init function"))
			}
		}
	}
	return found
}

func triedInit() []sample {
	return []sample{
		{"init", map[string]string{"mqtt/a.go": "package mqtt\nfunc init() {}"}, []string{"mqtt/a.go:2"}},
		{"in a test", map[string]string{"mqtt/a_test.go": "package mqtt\nfunc init() {}"}, []string{"mqtt/a_test.go:2"}},
		{"kept", map[string]string{"mqtt/a.go": "package mqtt\ntype t int\nfunc (t) init() { init := 1; _ = init }"}, nil},
	}
}

// checkVariables finds package variables that change: those that are assigned to, in whole or in part, or whose
// address is taken, outside their declaration, and those of a type that is there to be changed. So sentinel errors,
// compiled expressions, embedded files and read-only tables pass. What it cannot see is a map or pointer that is
// handed to a function which changes it.
func checkVariables(t *tree) []string {
	var found []string
	packages := t.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		inside, outside := split(packages[dir])
		for _, unit := range [][]*file{inside, outside} {
			found = append(found, t.changes(dir, unit)...)
		}
		for _, f := range packages[dir] {
			found = append(found, t.changeable(f)...)
		}
	}
	return found
}

// split parts a directory's files into its package with inner tests, and the package of outer tests.
func split(files []*file) (inside, outside []*file) {
	for _, f := range files {
		if f.isTest() && strings.HasSuffix(f.ast.Name.Name, "_test") {
			outside = append(outside, f)
		} else {
			inside = append(inside, f)
		}
	}
	return inside, outside
}

// changes finds where files, which are one package, change a package variable.
func (t *tree) changes(dir string, files []*file) []string {
	info := &types.Info{
		Uses:       map[*ast.Ident]types.Object{},
		Selections: map[*ast.SelectorExpr]*types.Selection{},
	}
	// Names are resolved inside the package only. What comes from others stays unknown, and so do errors about it.
	conf := types.Config{Importer: empty{}, Error: func(error) {}}
	var parsed []*ast.File
	for _, f := range files {
		parsed = append(parsed, f.ast)
	}
	_, _ = conf.Check(path.Join(module, dir), t.fset, parsed, info)

	var found []string
	for _, f := range files {
		ast.Inspect(f.ast, func(n ast.Node) bool {
			for _, x := range changedBy(n, info) {
				if name := variable(x, info); name != "" {
					found = append(found, t.at(n.Pos(), "changes the package variable %s or takes its address", name))
				}
			}
			return true
		})
	}
	return found
}

// empty imports every package as one that has no names.
type empty struct{}

func (empty) Import(importPath string) (*types.Package, error) {
	p := types.NewPackage(importPath, packageName(importPath))
	p.MarkComplete()
	return p, nil
}

// changedBy gives the operands that n changes or takes the address of.
func changedBy(n ast.Node, info *types.Info) []ast.Expr {
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			return n.Lhs
		}
	case *ast.IncDecStmt:
		return []ast.Expr{n.X}
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			return []ast.Expr{n.Key, n.Value}
		}
	case *ast.UnaryExpr:
		if n.Op == token.AND {
			return []ast.Expr{n.X}
		}
	case *ast.CallExpr:
		if fn, ok := n.Fun.(*ast.Ident); ok && len(n.Args) > 0 && slices.Contains([]string{"clear", "copy", "delete"}, fn.Name) {
			return n.Args[:1]
		}
		if fn, ok := n.Fun.(*ast.SelectorExpr); ok && takesAddress(info.Selections[fn]) {
			return []ast.Expr{fn.X}
		}
	}
	return nil
}

// takesAddress reports whether a method that wants a pointer is called on a value.
func takesAddress(s *types.Selection) bool {
	if s == nil || s.Kind() != types.MethodVal {
		return false
	}
	recv := s.Obj().Type().(*types.Signature).Recv()
	if recv == nil {
		return false
	}
	_, wants := recv.Type().(*types.Pointer)
	_, is := s.Recv().(*types.Pointer)
	return wants && !is
}

// variable is the name of the package variable, of this package or another, that x is or is a part of.
func variable(x ast.Expr, info *types.Info) string {
	for {
		switch e := x.(type) {
		case *ast.ParenExpr:
			x = e.X
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.SelectorExpr:
			if p, ok := e.X.(*ast.Ident); ok {
				if _, ok := info.Uses[p].(*types.PkgName); ok {
					return p.Name + "." + e.Sel.Name
				}
			}
			x = e.X
		case *ast.Ident:
			v, ok := info.Uses[e].(*types.Var)
			if ok && v.Pkg() != nil && v.Parent() == v.Pkg().Scope() {
				return e.Name
			}
			return ""
		default:
			return ""
		}
	}
}

// changeable finds package variables of types that have no use but to change: locks, atomics, channels.
func (t *tree) changeable(f *file) []string {
	var found []string
	for _, d := range f.ast.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			v := spec.(*ast.ValueSpec)
			for _, x := range append(slices.Clone(v.Values), v.Type) {
				if what := mutable(f, x); what != "" {
					found = append(found, t.at(v.Pos(), "the package variable %s is %s", v.Names[0].Name, what))
				}
			}
		}
	}
	return found
}

// mutable says what there is to change in a value or type x; "" when nothing is seen.
func mutable(f *file, x ast.Expr) string {
	switch e := x.(type) {
	case *ast.ChanType:
		return "a channel"
	case *ast.StarExpr:
		return mutable(f, e.X)
	case *ast.UnaryExpr:
		return mutable(f, e.X)
	case *ast.CompositeLit:
		return mutable(f, e.Type)
	case *ast.IndexExpr:
		return mutable(f, e.X)
	case *ast.CallExpr:
		if fn, ok := e.Fun.(*ast.Ident); ok && len(e.Args) > 0 && (fn.Name == "make" || fn.Name == "new") {
			return mutable(f, e.Args[0])
		}
	case *ast.SelectorExpr:
		if p, ok := e.X.(*ast.Ident); ok && (p.Name == f.imported("sync") || p.Name == f.imported("sync/atomic")) {
			return "a " + p.Name + "." + e.Sel.Name
		}
	}
	return ""
}

func triedVariables() []sample {
	in := func(body string) map[string]string { return map[string]string{"mqtt/a.go": "package mqtt\n" + body} }
	return []sample{
		{"assigned", in("var n int\nfunc f() { n = 1 }"), []string{"variable n"}},
		{"counted", in("var n int\nfunc f() { n++; n += 2 }"), []string{"variable n", "variable n"}},
		{"element", in("var m = map[string]int{}\nfunc f() { m[\"a\"] = 1; delete(m, \"a\") }"), []string{"variable m", "variable m"}},
		{"field", in("var s struct{ a [2]int }\nfunc f() { s.a[0] = 1 }"), []string{"variable s"}},
		{"address", in("var n int\nfunc f() *int { return &n }"), []string{"variable n"}},
		{"pointer method", in("type c int\nfunc (p *c) add() {}\nvar n c\nfunc f() { n.add() }"), []string{"variable n"}},
		{"ranged over", in("var k int\nfunc f() { for k = range 3 { } }"), []string{"variable k"}},
		{"by an inner test", map[string]string{
			"mqtt/a.go": "package mqtt\nvar now = 1", "mqtt/a_test.go": "package mqtt\nfunc f() { now = 2 }",
		}, []string{"mqtt/a_test.go:2"}},
		{"of another package", map[string]string{
			"mqtt/a_test.go": "package mqtt_test\nimport \"edged/mqtt\"\nfunc f() { mqtt.Now = nil }",
		}, []string{"mqtt.Now"}},
		{"lock", in("import \"sync\"\nvar mu sync.Mutex"), []string{"a sync.Mutex"}},
		{"pool", in("import \"sync\"\nvar p = &sync.Pool{}"), []string{"a sync.Pool"}},
		{"atomic", in("import \"sync/atomic\"\nvar p atomic.Pointer[int]"), []string{"a atomic.Pointer"}},
		{"channel", in("var c = make(chan int)"), []string{"a channel"}},
		{"kept", in("import (\n\"errors\"\n\"io\"\n\"regexp\"\n)\nvar ErrX = errors.New(\"x\")\nvar re = regexp.MustCompile(\"x\")\n" +
			"var table = [...]int{1, 2}\nvar names = map[int]string{1: \"a\"}\nvar _ io.Reader = (*r)(nil)\ntype r struct{ table int }\n" +
			"func (x *r) Read([]byte) (int, error) { x.table = table[0]; table := 1; table++; for table = range 2 { }\n" +
			"n := names; _ = n[1]; return 0, ErrX }"), nil},
	}
}
