// SPDX-License-Identifier: Apache-2.0

package devices

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// PretendedFiles are files of a kernel that a simulator makes up, by their names: what each says when it is read, and
// what happens when it is written to.
type PretendedFiles map[string]PretendedFile

// PretendedFile is one of them. Either function may be nil.
type PretendedFile struct {
	Read  func() string
	Write func(text string)
}

// Open opens a file to read it.
func (f PretendedFiles) Open(name string) (fs.File, error) {
	text, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &pretendedFile{name: path.Base(name), Reader: strings.NewReader(string(text))}, nil
}

// ReadFile gives what a file says.
func (f PretendedFiles) ReadFile(name string) ([]byte, error) {
	file, ok := f[name]
	if !ok || file.Read == nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
	}
	return []byte(file.Read()), nil
}

// ReadDir lists a directory.
func (f PretendedFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	seen := map[string]bool{} // name: it is a directory
	for file := range f {
		if rest, ok := strings.CutPrefix(file, name+"/"); ok {
			first, _, deeper := strings.Cut(rest, "/")
			seen[first] = deeper
		}
	}
	if len(seen) == 0 {
		return nil, &fs.PathError{Op: "list", Path: name, Err: fs.ErrNotExist}
	}
	var all []fs.DirEntry
	for first, deeper := range seen {
		all = append(all, pretendedInfo{first, deeper})
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all, nil
}

// Stat tells whether there is a file or directory.
func (f PretendedFiles) Stat(name string) (fs.FileInfo, error) {
	if _, ok := f[name]; ok {
		return pretendedInfo{path.Base(name), false}, nil
	}
	if _, err := f.ReadDir(name); err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return pretendedInfo{path.Base(name), true}, nil
}

// WriteFile writes to a file that may be written to.
func (f PretendedFiles) WriteFile(name, text string) error {
	file, ok := f[name]
	if !ok || file.Write == nil {
		return &fs.PathError{Op: "write", Path: name, Err: fs.ErrNotExist}
	}
	file.Write(text)
	return nil
}

// pretendedFile is an open one.
type pretendedFile struct {
	io.Reader
	name string
}

func (p *pretendedFile) Stat() (fs.FileInfo, error) { return pretendedInfo{p.name, false}, nil }

func (p *pretendedFile) Close() error { return nil }

// pretendedInfo tells of a file or directory.
type pretendedInfo struct {
	name string
	dir  bool
}

func (p pretendedInfo) Name() string               { return p.name }
func (p pretendedInfo) IsDir() bool                { return p.dir }
func (p pretendedInfo) Size() int64                { return 0 }
func (p pretendedInfo) ModTime() time.Time         { return time.Time{} }
func (p pretendedInfo) Sys() any                   { return nil }
func (p pretendedInfo) Info() (fs.FileInfo, error) { return p, nil }
func (p pretendedInfo) Type() fs.FileMode          { return p.Mode().Type() }

func (p pretendedInfo) Mode() fs.FileMode {
	if p.dir {
		return fs.ModeDir | 0o555
	}
	return 0o444
}
