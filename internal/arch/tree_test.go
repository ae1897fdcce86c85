// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "edged"

// tree is the module's sources, or a sample of some that a rule is tried on.
type tree struct {
	fset  *token.FileSet
	files []*file           // ordered by path
	other map[string]string // what is not Go but read by a rule: path → text
}

type file struct {
	path string // from the module's root, with slashes
	text string
	ast  *ast.File
}

func (f *file) dir() string  { return path.Dir(f.path) }
func (f *file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// imported is the name under which f uses the package of that import path; "" when it does not import it.
func (f *file) imported(importPath string) string {
	for _, spec := range f.ast.Imports {
		if pathOf(spec) != importPath {
			continue
		}
		if spec.Name != nil {
			return spec.Name.Name
		}
		return packageName(importPath)
	}
	return ""
}

func pathOf(spec *ast.ImportSpec) string {
	p, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		return spec.Path.Value
	}
	return p
}

// packageName guesses a package's name from its import path, where "…/v2" is a version and not the name.
func packageName(importPath string) string {
	name := path.Base(importPath)
	if _, err := strconv.Atoi(strings.TrimPrefix(name, "v")); err == nil && name[0] == 'v' {
		name = path.Base(path.Dir(importPath))
	}
	return name
}

// packages gives the directories that hold Go files, each with its files.
func (t *tree) packages() map[string][]*file {
	all := map[string][]*file{}
	for _, f := range t.files {
		all[f.dir()] = append(all[f.dir()], f)
	}
	return all
}

// at begins the report of one violation.
func (t *tree) at(pos token.Pos, format string, args ...any) string {
	p := t.fset.Position(pos)
	return fmt.Sprintf("%s:%d: ", p.Filename, p.Line) + fmt.Sprintf(format, args...)
}

// parse makes a tree of sources by their path.
func parse(t *testing.T, sources map[string]string) *tree {
	t.Helper()
	made := &tree{fset: token.NewFileSet(), other: map[string]string{}}
	for name, text := range sources {
		if !strings.HasSuffix(name, ".go") {
			made.other[name] = text
			continue
		}
		parsed, err := parser.ParseFile(made.fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatalf("parse %s: %v", name, err)
		}
		made.files = append(made.files, &file{path: name, text: text, ast: parsed})
	}
	slices.SortFunc(made.files, func(a, b *file) int { return strings.Compare(a.path, b.path) })
	return made
}

// load reads the module that this package is in.
func load(t *testing.T) *tree {
	t.Helper()
	root := filepath.Join("..", "..")
	sources := map[string]string{}
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			return skipDir(p, name)
		}
		if strings.HasSuffix(name, ".go") || name == architecture || name == codesPage {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			sources[name] = string(text)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("read the tree: %v", err)
	}
	return parse(t, sources)
}

// skipDir leaves out what the go command leaves out of "./...", and what make builds.
func skipDir(p, name string) error {
	base := path.Base(name)
	if name == "." {
		return nil
	}
	if base[0] == '.' || base[0] == '_' || base == "testdata" || name == "bin" {
		return fs.SkipDir
	}
	if _, err := os.Stat(filepath.Join(p, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}
