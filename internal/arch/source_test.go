// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"go/ast"
	"maps"
	"path"
	"slices"
	"strings"
)

const (
	spdx          = "// SPDX-License-Identifier: Apache-2.0"
	fileLines     = 400
	functionLines = 60
)

func sourceRules() []rule {
	return []rule{
		{"licence", "a file that is copied out of the tree takes its licence along", checkLicence, triedLicence()},
		{"package-comment", "one package, one purpose: who cannot say it in a sentence has two packages", checkPackageComment, triedPackageComment()},
		{"package-name", "a package that is named after nothing collects everything", checkPackageName, triedPackageName()},
		{"exported-comment", "a caller reads the comment, not the code: units, ranges, who owns a slice, whether it blocks", checkExported, triedExported()},
		{"file-length", "a file holds one idea; a longer one is split by idea", checkFileLength, triedFileLength()},
		{"function-length", "a function that does not fit on a screen is read in parts and understood in none", checkFunctionLength, triedFunctionLength()},
	}
}

func checkLicence(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if !strings.HasPrefix(f.text, spdx+"\n\n") && !ast.IsGenerated(f.ast) {
			found = append(found, f.path+":1: does not begin with \""+spdx+"\" and an empty line")
		}
	}
	return found
}

func triedLicence() []sample {
	return []sample{
		{"none", map[string]string{"uplink/u.go": "package uplink"}, []string{"uplink/u.go:1"}},
		{"as package comment", map[string]string{"uplink/u.go": spdx + "\npackage uplink"}, []string{"uplink/u.go:1"}},
		{"kept", map[string]string{"uplink/u.go": spdx + "\n\npackage uplink"}, nil},
	}
}

func checkPackageComment(t *tree) []string {
	var found []string
	packages := t.packages()
	for _, dir := range slices.Sorted(maps.Keys(packages)) {
		var texts []string
		name := ""
		for _, f := range packages[dir] {
			if external := strings.HasSuffix(f.ast.Name.Name, "_test") && f.isTest(); external && name != "" {
				continue
			}
			name = strings.TrimSuffix(f.ast.Name.Name, "_test")
			if f.ast.Doc != nil {
				texts = append(texts, f.ast.Doc.Text())
			}
		}
		want := "Package " + name + " "
		if name == "main" {
			want = "Command " + path.Base(dir) + " "
		}
		switch {
		case len(texts) == 0:
			found = append(found, dir+": no file has a package comment")
		case len(texts) > 1:
			found = append(found, dir+": more than one file has a package comment")
		case !strings.HasPrefix(texts[0], want) || !strings.Contains(texts[0], "."):
			found = append(found, dir+": the package comment does not begin with a sentence \""+want+"…\"")
		}
	}
	return found
}

func triedPackageComment() []sample {
	return []sample{
		{"none", map[string]string{"uplink/u.go": "package uplink"}, []string{"no file"}},
		{"two", map[string]string{
			"uplink/a.go": "// Package uplink is this.\npackage uplink", "uplink/b.go": "// Package uplink is that.\npackage uplink",
		}, []string{"more than one"}},
		{"of another", map[string]string{"uplink/u.go": "// Package outbox is old.\npackage uplink"}, []string{"\"Package uplink …\""}},
		{"no sentence", map[string]string{"cmd/edged/m.go": "// Command edged runs\npackage main"}, []string{"\"Command edged …\""}},
		{"kept", map[string]string{
			"uplink/u.go":            "// Package uplink sends.\npackage uplink",
			"uplink/u_test.go":       "package uplink_test",
			"cmd/edged/m.go":         "// Command edged runs.\npackage main",
			"internal/e2e/a_test.go": "// Package e2e tries.\npackage e2e_test",
		}, nil},
	}
}

func checkPackageName(t *tree) []string {
	banned := []string{"util", "common", "helper", "type", "interface", "manager", "misc", "lib"}
	var found []string
	for _, dir := range slices.Sorted(maps.Keys(t.packages())) {
		for _, part := range strings.Split(dir, "/") {
			if slices.Contains(banned, strings.TrimSuffix(part, "s")) {
				found = append(found, dir+": \""+part+"\" names no purpose")
			}
		}
	}
	return found
}

func triedPackageName() []sample {
	return []sample{
		{"util", map[string]string{"internal/utils/u.go": "package utils"}, []string{"utils"}},
		{"helpers", map[string]string{"bridge/helpers/h.go": "package helpers"}, []string{"helpers"}},
		{"kept", map[string]string{"bridge/port/p.go": "package port"}, nil},
	}
}

func checkExported(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.isTest() || ast.IsGenerated(f.ast) {
			continue
		}
		for _, d := range f.ast.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && exportedReceiver(d) && !beginsWith(d.Doc, d.Name.Name) {
					found = append(found, t.at(d.Pos(), "the comment of %s does not begin with its name", d.Name.Name))
				}
			case *ast.GenDecl:
				for _, name := range uncommented(d) {
					found = append(found, t.at(name.Pos(), "%s has no comment that begins with its name", name.Name))
				}
			}
		}
	}
	return found
}

// exportedReceiver reports whether a caller from outside can reach the function.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	x := d.Recv.List[0].Type
	for {
		switch e := x.(type) {
		case *ast.StarExpr:
			x = e.X
		case *ast.IndexExpr:
			x = e.X
		case *ast.IndexListExpr:
			x = e.X
		case *ast.Ident:
			return e.IsExported()
		default:
			return true
		}
	}
}

func beginsWith(doc *ast.CommentGroup, name string) bool {
	text := doc.Text()
	return strings.HasPrefix(text, name+" ") || strings.HasPrefix(text, name+"'s ") ||
		strings.HasPrefix(text, name+", ") || strings.HasPrefix(text, name+"\n")
}

// uncommented gives the exported names of a declaration that nobody explains. A group of constants or variables may
// be explained as a whole, and each of it behind its line.
func uncommented(d *ast.GenDecl) []*ast.Ident {
	var names []*ast.Ident
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			doc := s.Doc
			if doc == nil && !d.Lparen.IsValid() {
				doc = d.Doc
			}
			if s.Name.IsExported() && !beginsWith(doc, s.Name.Name) && !beginsWith(doc, "A "+s.Name.Name) && !beginsWith(doc, "An "+s.Name.Name) {
				names = append(names, s.Name)
			}
		case *ast.ValueSpec:
			for _, name := range s.Names {
				grouped := d.Lparen.IsValid() && (d.Doc != nil || s.Doc != nil || s.Comment != nil)
				if name.IsExported() && !grouped && !beginsWith(d.Doc, name.Name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

func triedExported() []sample {
	return []sample{
		{"function", map[string]string{"mqtt/a.go": "package mqtt\nfunc Open() {}\n// shuts it.\nfunc Close() {}"}, []string{"Open", "Close"}},
		{"method", map[string]string{"mqtt/a.go": "package mqtt\n// T is.\ntype T int\nfunc (*T) M() {}"}, []string{"M"}},
		{"type", map[string]string{"mqtt/a.go": "package mqtt\ntype T int\n// Many are.\ntype ( U int )\n// A W is not.\ntype V int"}, []string{"T has", "U has", "V has"}},
		{"constant", map[string]string{"mqtt/a.go": "package mqtt\nconst Max = 1\nvar ( E = 1 )"}, []string{"Max", "E has"}},
		{"kept", map[string]string{
			"mqtt/a.go": "package mqtt\n// T is.\ntype T int\n// An I is.\ntype I int\n// M does.\nfunc (*T) M() {}\nfunc open() {}\ntype u int\n" +
				"func (u) Len() {}\n// The limits.\nconst (\n\tA = 1\n\tB = 2 // bytes\n)\n// E is an error.\nvar E = 1",
			"mqtt/a_test.go": "package mqtt\nfunc TestX() {}",
		}, nil},
	}
}

func checkFileLength(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if n := strings.Count(f.text, "\n"); n > fileLines && !ast.IsGenerated(f.ast) {
			found = append(found, t.at(f.ast.Package, "the file has %d lines, at most %d are read in one go", n, fileLines))
		}
	}
	return found
}

func triedFileLength() []sample {
	return []sample{
		{"one line too many", map[string]string{"mqtt/a.go": "package mqtt" + strings.Repeat("\n", fileLines+1)}, []string{"401 lines"}},
		{"tests too", map[string]string{"mqtt/a_test.go": "package mqtt" + strings.Repeat("\n", fileLines+1)}, []string{"401 lines"}},
		{"kept", map[string]string{
			"mqtt/a.go": "package mqtt" + strings.Repeat("\n", fileLines),
			"mqtt/b.go": "// Code generated by a program. DO NOT EDIT.\npackage mqtt" + strings.Repeat("\n", fileLines+9),
		}, nil},
	}
}

func checkFunctionLength(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.isTest() || ast.IsGenerated(f.ast) {
			continue
		}
		for _, d := range f.ast.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			n := t.fset.Position(fn.End()).Line - t.fset.Position(fn.Type.Pos()).Line + 1
			if n > functionLines {
				found = append(found, t.at(fn.Type.Pos(), "%s has %d lines, at most %d", fn.Name.Name, n, functionLines))
			}
		}
	}
	return found
}

func triedFunctionLength() []sample {
	long := "func long() {" + strings.Repeat("\n", functionLines) + "}"
	return []sample{
		{"one line too many", map[string]string{"mqtt/a.go": "package mqtt\n" + long}, []string{"long has 61 lines"}},
		{"kept", map[string]string{
			"mqtt/a.go":      "package mqtt\n// A comment\n// does not count.\nfunc full() {" + strings.Repeat("\n", functionLines-1) + "}",
			"mqtt/a_test.go": "package mqtt\n" + long,
		}, nil},
	}
}
