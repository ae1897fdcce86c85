// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bufio"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A test says which statements it holds as "4:3.1.2-24" or "5:3.1.2-22": the level of the protocol, then the statement.
var updateConformance = flag.Bool("update", false, "write the tests that cite a statement into docs/conformance.md")

const conformancePage = "../docs/conformance.md"

// statements are the normative statements of a standard: by section the number of the last, and of the first where it
// is not 1.
func statements(version string) map[string]bool {
	list := map[string]string{
		"4": `1.5.3 3, 2.2.2 2, 2.3.1 7, 3.1.0 2, 3.1.2 24, 3.1.3 11, 3.1.4 5, 3.2.0 1, 3.2.2 6, 3.3.1 12, 3.3.2 3, 3.3.4 1,
			3.3.5 2, 3.6.1 1, 3.8.1 1, 3.8.3 4, 3.8.4 6, 3.9.3 2, 3.10.1 1, 3.10.3 2, 3.10.4 6, 3.12.4 1, 3.14.1 1, 3.14.4 3,
			4.1.0 2, 4.2.0 1, 4.3.1 1, 4.3.2 2, 4.3.3 2, 4.4.0 1, 4.5.0 2, 4.6.0 6, 4.7.1 3, 4.7.2 1, 4.7.3 4, 4.8.0 2,
			6.0.0 4, 7.0.0 2, 7.1.1 1, 7.1.2 1`,
		"5": `1.5.4 3, 1.5.5 1, 1.5.7 1, 2.1.3 1, 2.2.1 6 2, 2.2.2 1, 3.1.0 2, 3.1.2 30, 3.1.3 12, 3.1.4 6, 3.2.0 2, 3.2.2 22,
			3.3.1 13, 3.3.2 20, 3.3.4 10, 3.4.2 3, 3.5.2 3, 3.6.1 1, 3.6.2 3, 3.7.2 3, 3.8.1 1, 3.8.3 5, 3.8.4 8, 3.9.2 2,
			3.9.3 2, 3.10.1 1, 3.10.3 2, 3.10.4 6, 3.11.2 2, 3.11.3 2, 3.12.4 1, 3.14.0 1, 3.14.1 1, 3.14.2 4, 3.14.4 3,
			3.15.1 1, 3.15.2 3, 4.1.0 2, 4.2.0 1, 4.3.1 1, 4.3.2 5, 4.3.3 13, 4.4.0 2, 4.5.0 2, 4.6.0 6, 4.7.0 1, 4.7.1 2,
			4.7.2 1, 4.7.3 4, 4.8.2 6, 4.9.0 3, 4.12.0 7, 4.12.1 2, 4.13.1 1, 4.13.2 1, 6.0.0 4, 7.0.0 2, 7.1.1 1, 7.1.2 1`,
	}
	all := map[string]bool{}
	for entry := range strings.SplitSeq(list[version], ",") {
		part := strings.Fields(entry)
		first, last := 1, atoi(part[1])
		if len(part) > 2 {
			first = atoi(part[2])
		}
		for n := first; n <= last; n++ {
			all[fmt.Sprintf("%s:%s-%d", version, part[0], n)] = true
		}
	}
	return all
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// citations are the tests of the tree by the statements that they cite, and all tests.
func citations(t *testing.T) (by map[string][]string, tests map[string]bool) {
	t.Helper()
	cite := regexp.MustCompile(`\b[45]:\d+\.\d+\.\d+-\d+\b`)
	by, tests = map[string][]string{}, map[string]bool{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, src, parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../"))
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") {
				continue
			}
			name := dir + " " + f.Name.Name
			tests[name] = true
			from := f.Pos()
			if f.Doc != nil {
				from = f.Doc.Pos()
			}
			for _, id := range cite.FindAllString(string(src[set.Position(from).Offset:set.Position(f.End()).Offset]), -1) {
				if !slices.Contains(by[id], name) {
					by[id] = append(by[id], name)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return by, tests
}

// row is a line of a table of the page.
type row struct {
	id, text, shown string
}

// pageRows reads the rows below the headings "## MQTT 3.1.1" and "## MQTT 5.0" and gives each to see, which returns the
// line to be written instead.
func pageRows(t *testing.T, see func(version string, r row, line string) string) []string {
	t.Helper()
	f, err := os.Open(conformancePage)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var out []string
	version := ""
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "## MQTT 3.1.1"):
			version = "4"
		case strings.HasPrefix(line, "## MQTT 5.0"):
			version = "5"
		case strings.HasPrefix(line, "## "):
			version = ""
		case version != "" && strings.HasPrefix(line, "| ") && line[2] >= '0' && line[2] <= '9':
			cell := strings.Split(line, "|")
			if len(cell) != 5 {
				t.Fatalf("%s: a row is not of three cells: %s", conformancePage, line)
			}
			line = see(version, row{version + ":" + strings.TrimSpace(cell[1]), strings.TrimSpace(cell[2]), strings.TrimSpace(cell[3])}, line)
		}
		out = append(out, line)
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every normative statement has its row in docs/conformance.md, with the tests that cite it, or why there is none.
// go test ./broker -run TestConformancePage -update writes the tests into the page.
func TestConformancePage(t *testing.T) {
	by, _ := citations(t)
	missing := statements("4")
	maps.Copy(missing, statements("5"))
	known := maps.Clone(missing)
	lines := pageRows(t, func(_ string, r row, line string) string {
		if !missing[r.id] {
			t.Errorf("%s: a second row, or no such statement", r.id)
		}
		delete(missing, r.id)
		tests := strings.Join(slices.Sorted(slices.Values(by[r.id])), ", ")
		exempt := r.shown == "client" || strings.HasPrefix(r.shown, "not applicable: ")
		switch {
		case exempt && tests != "":
			t.Errorf("%s: the page says %q, and %s cites it", r.id, r.shown, tests)
		case exempt:
		case tests == "":
			t.Errorf("%s (%s): no test cites it", r.id, r.text)
		case tests != r.shown && !*updateConformance:
			t.Errorf("%s: the page names %q, it is cited by %q (-update writes that)", r.id, r.shown, tests)
		}
		if exempt || !*updateConformance {
			return line
		}
		return fmt.Sprintf("| %s | %s | %s |", r.id[2:], r.text, tests)
	})
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		t.Errorf("%s has no row", id)
	}
	for _, id := range slices.Sorted(maps.Keys(by)) {
		if !known[id] {
			t.Errorf("%v cites %s, which does not exist", by[id], id)
		}
	}
	if *updateConformance {
		if err := os.WriteFile(conformancePage, []byte(strings.Join(lines, "\n")+"\n"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// Every test that the page names in backquotes exists.
func TestConformancePageNamesTestsThatExist(t *testing.T) {
	_, tests := citations(t)
	page, err := os.ReadFile(conformancePage)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+ Test\\w+)`").FindAllStringSubmatch(string(page), -1)
	if len(named) < 40 {
		t.Errorf("only %d tests are named", len(named))
	}
	for _, m := range named {
		if !tests[m[1]] {
			t.Errorf("there is no %s", m[1])
		}
	}
}
