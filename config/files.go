// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Dir is where the configuration is unless --config names a file.
const Dir = "/etc/edged"

// maxFile is more than a configuration can need, in bytes.
const maxFile = 4 << 20

// places returns the files of a directory: edged.toml, then conf.d/*.toml by name. Those whose name begins with a dot
// belong to editors.
func places(dir string) ([]string, error) {
	names := []string{}
	first := filepath.Join(dir, "edged.toml")
	if _, err := os.Lstat(first); !errors.Is(err, fs.ErrNotExist) {
		names = append(names, first)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "conf.d"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return names, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, filepath.Join(dir, "conf.d", e.Name()))
		}
	}
	return names, nil
}

// readFile returns the text of a file, or the problem of a file that cannot be read.
func readFile(name string, order int) (string, *Problem) {
	problem := func(text, hint string) *Problem {
		return &Problem{Code: NoFile, File: name, Text: text, Hint: hint, order: order}
	}
	f, err := os.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", problem("there is no such file", "check the path")
	case errors.Is(err, fs.ErrPermission):
		return "", problem("no permission to read this file", "the user edged must be able to read it: chgrp edged FILE && chmod g+r FILE")
	case err != nil:
		return "", problem(cause(err), "")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return "", problem(cause(err), "")
	case len(b) > maxFile:
		return "", problem(fmt.Sprintf("is larger than %d MiB", maxFile>>20), "")
	}
	return string(b), nil
}

// cause is an error without the path, which the problem names already.
func cause(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Op + ": " + pe.Err.Error()
	}
	return err.Error()
}

// merge adds the tables of another file. A table stands in one file: what has a header or keys in both is reported.
func (c *check) merge(to, from *node, key string) {
	for _, name := range from.names {
		kid, at := from.kids[name], join(key, name)
		first, ok := to.kids[name]
		if !ok {
			to.adopt(name, kid)
			continue
		}
		place, here := kid.explicit()
		before, there := first.explicit()
		switch {
		case first.isTable() != kid.isTable():
			c.twice(first, kid, first.key, kid.key, at)
		case !kid.isTable() && key != "":
			continue // two files have keys of the table that this key is in, which is reported
		case here && there, kid.kind == inline, first.kind == inline:
			c.twice(first, kid, before, place, at)
			c.merge(first, kid, at)
		case here:
			// The keys come from this file, the tables below from both.
			c.merge(kid, first, at)
			to.kids[name] = kid
		default:
			c.merge(first, kid, at)
		}
	}
}

// twice reports what stands in two files; a span that is empty is that of a table which is only on the way to another.
func (c *check) twice(first, second *node, before, here span, key string) {
	if before == (span{}) {
		before = first.key
	}
	if here == (span{}) {
		here = second.key
	}
	line, column := first.src.position(before.from)
	c.report(second, here, TwoFiles, key, fmt.Sprintf("stands in two files, the other is %s:%d:%d", first.src.name, line, column),
		"a table stands in one file: move its keys together")
}
