// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Draft is the configuration's files while tables in them are changed. What it does not change stays as it is, byte for
// byte: order, comments and spaces.
type Draft struct {
	files []*draftFile
	home  string // where tables go that are in no file yet
	with  described
}

// draftFile is one file of a draft.
type draftFile struct {
	*source
	was  []byte // on disk; nil: not there
	mark string // byte order mark
}

// ErrChanged is returned by Save when somebody else has changed a file meanwhile.
var ErrChanged = errors.New("the file was changed by somebody else meanwhile; try again")

// OpenDraft reads the files of the configuration at path, or at the default places where path is "". Tables that are in
// none of them go to home below the default directory, or to the file at path. The files need to be valid TOML, not
// a valid configuration. The error is a [Problems].
func OpenDraft(path, home string) (*Draft, error) {
	if path == "" {
		return OpenDraftDir(Dir, home)
	}
	return openDraft([]string{path}, path, describe(dirOf(path)))
}

// OpenDraftDir is OpenDraft for another directory than the default one.
func OpenDraftDir(dir, home string) (*Draft, error) {
	names, err := places(dir)
	if err != nil {
		return nil, Problems{{Code: NoFile, File: dir, Text: cause(err)}}
	}
	return openDraft(names, filepath.Join(dir, home), describe(dir))
}

func openDraft(names []string, home string, with described) (*Draft, error) {
	d := &Draft{home: home, with: with}
	var unreadable Problems
	for i, name := range names {
		f, p := readDraft(name, i)
		if p != nil {
			unreadable = append(unreadable, *p)
			continue
		}
		d.files = append(d.files, f)
	}
	if len(unreadable) > 0 {
		return nil, unreadable
	}
	return d, nil
}

func readDraft(name string, order int) (*draftFile, *Problem) {
	text, p := readFile(name, order)
	if p != nil {
		return nil, p
	}
	src, p := parse(name, order, text)
	if p != nil {
		return nil, p
	}
	return &draftFile{source: src, was: []byte(text), mark: text[:len(text)-len(src.text)]}, nil
}

// Find tells which file has a table.
func (d *Draft) Find(table ...string) (file string, ok bool) {
	f := d.holder(table)
	if f == nil {
		return "", false
	}
	return f.name, true
}

func (d *Draft) holder(table []string) *draftFile {
	for _, f := range d.files {
		if f.find(table) != nil {
			return f
		}
	}
	return nil
}

// Set gives keys of a table other values, in the file where it stands; a new table goes to the draft's home. It returns
// the file's name.
func (d *Draft) Set(table []string, keys ...KeyValue) (file string, err error) {
	f := d.holder(table)
	if f == nil {
		if f, err = d.homeFile(); err != nil {
			return "", err
		}
	}
	text, err := f.set(table, keys)
	if err != nil {
		return "", err
	}
	return f.name, f.become(text)
}

// Remove takes a table out, where there is one.
func (d *Draft) Remove(table ...string) (file string, err error) {
	f := d.holder(table)
	if f == nil {
		return "", nil
	}
	text, err := f.without(table)
	if err != nil {
		return "", err
	}
	return f.name, f.become(text)
}

// RemoveAll takes a table out, where there is one, with the tables below it.
func (d *Draft) RemoveAll(table ...string) (file string, err error) {
	f := d.holder(table)
	if f == nil {
		return "", nil
	}
	for below := f.headerBelow(table); below != nil; below = f.headerBelow(table) {
		text, err := f.without(below)
		if err != nil {
			return "", err
		}
		if err := f.become(text); err != nil {
			return "", err
		}
	}
	if f.find(table) == nil { // it had no header of its own
		return f.name, nil
	}
	return d.Remove(table...)
}

func (d *Draft) homeFile() (*draftFile, error) {
	i := slices.IndexFunc(d.files, func(f *draftFile) bool { return f.name == d.home })
	if i >= 0 {
		return d.files[i], nil
	}
	src, p := parse(d.home, len(d.files), "")
	if p != nil {
		return nil, Problems{*p}
	}
	f := &draftFile{source: src}
	d.files = append(d.files, f)
	return f, nil
}

func (f *draftFile) become(text string) error {
	src, p := parse(f.name, f.order, text)
	if p != nil {
		return Problems{*p}
	}
	f.source = src
	return nil
}

// Check returns the configuration that the draft is. The error is a [Problems].
func (d *Draft) Check() (*Config, error) {
	sources, err := d.sources()
	if err != nil {
		return nil, err
	}
	return build(sources, d.with)
}

// sources are the files, read anew, since building a configuration joins their trees.
func (d *Draft) sources() ([]*source, error) {
	var sources []*source
	for _, f := range d.files {
		src, p := parse(f.name, f.order, f.text)
		if p != nil {
			return nil, Problems{*p}
		}
		sources = append(sources, src)
	}
	return sources, nil
}

// Save writes the files that were changed, each whole or not at all, with the mode and owner that it had. A new one can
// be read by its owner and the group edged, where there is one.
func (d *Draft) Save() error {
	for _, f := range d.files {
		text := f.mark + f.text
		if f.was != nil && text == string(f.was) {
			continue
		}
		if err := f.save(text); err != nil {
			return fmt.Errorf("write %s: %w", f.name, err)
		}
		f.was = []byte(text)
	}
	return nil
}
