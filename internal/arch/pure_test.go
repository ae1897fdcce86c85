// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"go/ast"
	"strings"
)

// impure names what a decoder may not import, and what it would get from there.
func impure() map[string]string {
	return map[string]string{
		"os": "files", "os/exec": "processes", "io/ioutil": "files", "syscall": "the system", "net": "a network",
		"net/http": "a network", "log": "a log", "log/slog": "a log", "sync": "shared state", "sync/atomic": "shared state",
		"context": "waiting", "math/rand": "chance that no test can repeat",
	}
}

// clock names what of package time reads or waits for the clock.
func clock() []string {
	return []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}
}

func checkPure(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if f.isTest() || f.dir() != "devices" && !strings.HasPrefix(f.dir(), "devices/") {
			continue
		}
		for _, spec := range f.ast.Imports {
			if what, bad := impure()[pathOf(spec)]; bad {
				found = append(found, t.at(spec.Pos(), "imports %s: a decoder has no use for %s", pathOf(spec), what))
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				found = append(found, t.at(g.Pos(), "starts a goroutine: a panic in it would end the process"))
			}
			for _, name := range clock() {
				if refersTo(f, n, "time", name) {
					found = append(found, t.at(n.Pos(), "uses time.%s: the bridge hands in the time", name))
				}
			}
			return true
		})
	}
	return found
}

// refersTo reports whether n is NAME of the package with that import path, as f spells it.
func refersTo(f *file, n ast.Node, importPath, name string) bool {
	s, ok := n.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == f.imported(importPath)
}

func triedPure() []sample {
	return []sample{
		{"clock", map[string]string{
			"devices/a.go": "package devices\nimport tm \"time\"\nfunc f() tm.Time { return tm.Now() }",
		}, []string{"time.Now"}},
		{"goroutine", map[string]string{"devices/catalog/a.go": "package catalog\nfunc f() { go f() }"}, []string{"goroutine"}},
		{"files and log", map[string]string{
			"devices/a.go": "package devices\nimport (\n\"os\"\n\"log/slog\"\n)\nvar _, _ = os.Args, slog.Default",
		}, []string{"files", "a log"}},
		{"allowed", map[string]string{
			"devices/a.go":      "package devices\nimport \"time\"\nfunc f(at time.Time) time.Time { return at.Add(time.Second) }",
			"devices/a_test.go": "package devices\nimport \"os\"\nvar _ = os.Args",
			"bridge/b.go":       "package bridge\nimport \"time\"\nfunc f() time.Time { go f(); return time.Now() }",
		}, nil},
	}
}
