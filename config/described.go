// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"edged/devices/catalog"
)

// sharedDevices is where packages put descriptions of devices; those beside the configuration win over them.
const sharedDevices = "/usr/share/edged/devices"

// devicesBeside is where the descriptions of a user are: beside the configuration that is in dir.
func devicesBeside(dir string) string { return filepath.Join(dir, "devices") }

// described are descriptions of devices that were read, and what is wrong with them.
type described struct {
	set      *catalog.Set
	problems Problems
}

// describe reads the descriptions that go with the configuration in dir.
func describe(dir string) described {
	var groups [][]catalog.File
	var problems Problems
	for _, from := range []string{sharedDevices, devicesBeside(dir)} {
		files, unreadable := descriptions(from)
		groups, problems = append(groups, files), append(problems, unreadable...)
	}
	d := describeAs(groups...)
	d.problems = append(problems, d.problems...)
	return d
}

// descriptions reads the files *.toml of a directory, which need not be there. Those whose name begins with a dot belong to
// editors.
func descriptions(dir string) (files []catalog.File, unreadable Problems) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, Problems{{Code: NoFile, File: dir, Text: cause(err), order: afterFiles}}
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".toml") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		text, p := readFile(name, afterFiles)
		if p != nil {
			unreadable = append(unreadable, *p)
			continue
		}
		files = append(files, catalog.File{Name: name, Text: text})
	}
	return files, unreadable
}

// describeAs understands descriptions, of which a later group wins over an earlier one.
func describeAs(groups ...[]catalog.File) described {
	texts := map[string]string{}
	for _, files := range groups {
		for _, f := range files {
			texts[f.Name] = f.Text
		}
	}
	set, err := catalog.With(groups...)
	return described{set, describedProblems(err, texts)}
}

// Described gives every driver: those of the catalogue and those that are described beside the configuration at path, or at
// the default place where path is "". The set is there also with an error, which is a [Problems].
func Described(path string) (*catalog.Set, error) {
	d := describe(dirOf(path))
	if len(d.problems) > 0 {
		return d.set, d.problems
	}
	return d.set, nil
}

// dirOf is the directory of the configuration at path.
func dirOf(path string) string {
	if path == "" {
		return Dir
	}
	return filepath.Dir(path)
}

// describedProblems makes problems of the configuration out of those that the catalogue joined.
func describedProblems(err error, texts map[string]string) Problems {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all Problems
		for _, e := range joined.Unwrap() {
			all = append(all, describedProblems(e, texts)...)
		}
		return all
	}
	f, ok := err.(catalog.Problem)
	if !ok {
		return Problems{{Code: BadValue, Text: err.Error(), order: afterFiles}}
	}
	p := Problem{Code: f.Code, File: f.File, Key: f.Key, Text: f.Text, order: afterFiles}
	lines := strings.Split(texts[f.File], "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return Problems{p}
	}
	line := strings.TrimRight(lines[f.Line-1], "\r \t")
	before := line[:min(max(f.Column-1, 0), len(line))]
	p.Line, p.Column = f.Line, utf8.RuneCountInString(before)+1
	p.Source, p.caret, p.width = strings.ReplaceAll(line, "\t", " "), p.Column-1, max(1, utf8.RuneCountInString(f.Key[strings.LastIndexByte(f.Key, '.')+1:]))
	return Problems{p}
}

// afterFiles orders problems of descriptions behind those of the configuration.
const afterFiles = 1 << 20
