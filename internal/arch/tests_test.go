// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

func testRules() []rule {
	return []rule{
		{"no-sleep-in-tests", "a sleep is too short on a slow machine and too long on a fast one; wait for the condition, or let time be virtual", checkSleep, triedSleep()},
		{"no-skipped-tests", "a test that may be skipped is green where it was never run", checkSkip, triedSkip()},
		{"parsers-are-fuzzed", "wire, file and cloud are hostile: what reads their bytes is tried with bytes that nobody thought of", checkFuzz, triedFuzz()},
	}
}

func checkSleep(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if !f.isTest() {
			continue
		}
		bubbles := bubbles(f)
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if n == nil || !refersTo(f, n, "time", "Sleep") {
				return true
			}
			if !slices.ContainsFunc(bubbles, func(b ast.Node) bool { return within(n.Pos(), b) }) {
				found = append(found, t.at(n.Pos(), "uses time.Sleep outside a call of synctest.Test"))
			}
			return true
		})
	}
	return found
}

// bubbles gives the calls inside which time is virtual.
func bubbles(f *file) []ast.Node {
	var calls []ast.Node
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok && refersTo(f, call.Fun, "testing/synctest", "Test") {
			calls = append(calls, call)
		}
		return true
	})
	return calls
}

func within(pos token.Pos, n ast.Node) bool { return n.Pos() <= pos && pos < n.End() }

func triedSleep() []sample {
	head := "package mqtt\nimport (\n\"testing\"\n\"testing/synctest\"\n\"time\"\n)\n"
	return []sample{
		{"real", map[string]string{
			"mqtt/a_test.go": head + "func f(t *testing.T) { synctest.Test(t, nil); time.Sleep(1) }",
		}, []string{"mqtt/a_test.go:7"}},
		{"handed on", map[string]string{"mqtt/a_test.go": head + "var _ = synctest.Test\nvar pause = time.Sleep"}, []string{":8"}},
		{"under another name", map[string]string{"mqtt/a_test.go": "package mqtt\nimport clock \"time\"\nfunc f() { clock.Sleep(1) }"}, []string{":3"}},
		{"kept", map[string]string{
			"mqtt/a_test.go": head + "func f(t *testing.T) { synctest.Test(t, func(t *testing.T) { go func() { time.Sleep(1) }() }) }",
			"mqtt/a.go":      "package mqtt\nimport \"time\"\nfunc f() { time.Sleep(1) }",
		}, nil},
	}
}

func checkSkip(t *tree) []string {
	var found []string
	for _, f := range t.files {
		if !f.isTest() {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			s, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, _ := s.X.(*ast.Ident)
			plain := s.Sel.Name == "Skip" && x != nil && slices.Contains([]string{"t", "b", "f", "tb"}, x.Name)
			if plain || s.Sel.Name == "SkipNow" || s.Sel.Name == "Skipf" || refersTo(f, s, "testing", "Short") {
				found = append(found, t.at(n.Pos(), "may be skipped"))
			}
			return true
		})
	}
	return found
}

func triedSkip() []sample {
	in := func(body string) map[string]string {
		return map[string]string{"mqtt/a_test.go": "package mqtt\nimport \"testing\"\nfunc f(t *testing.T) { " + body + " }"}
	}
	return []sample{
		{"skip", in("t.Skip(\"no root\")"), []string{"mqtt/a_test.go:3"}},
		{"skipf", in("t.Skipf(\"no %s\", \"root\")"), []string{"mqtt/a_test.go:3"}},
		{"skip now", in("t.SkipNow()"), []string{"mqtt/a_test.go:3"}},
		{"short", in("if testing.Short() { return }"), []string{"mqtt/a_test.go:3"}},
		{"kept", in("reader.Skip(3)"), nil},
	}
}

// parsers names the packages that read bytes from outside.
func parsers() []string {
	return []string{"mqtt/wire", "mqtt", "broker/journal", "devices", "devices/field", "devices/frame", "devices/line", "devices/mbus", "devices/meter", "devices/modbus", "devices/catalog", "config"}
}

func checkFuzz(t *tree) []string {
	var found []string
	packages := t.packages()
	for _, dir := range parsers() {
		if files := packages[dir]; files != nil && !slices.ContainsFunc(files, hasFuzz) {
			found = append(found, dir+": no test there is named Fuzz…")
		}
	}
	return found
}

func hasFuzz(f *file) bool {
	return f.isTest() && slices.ContainsFunc(f.ast.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz")
	})
}

func triedFuzz() []sample {
	return []sample{
		{"none", map[string]string{
			"config/c.go": "package config\nfunc FuzzParse() {}", "config/c_test.go": "package config\nfunc TestParse() {}",
		}, []string{"config: no test"}},
		{"kept", map[string]string{
			"config/c.go": "package config", "config/c_test.go": "package config\nfunc FuzzParse() {}", "bridge/b.go": "package bridge",
		}, nil},
	}
}
