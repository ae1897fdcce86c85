// SPDX-License-Identifier: Apache-2.0

package journal

import "sync/atomic"

// counted is a directory that counts what is written to its files.
type counted struct {
	Dir
	written *atomic.Uint64
}

// Open is of [Dir].
func (d counted) Open(name string, flag int) (File, error) {
	f, err := d.Dir.Open(name, flag)
	if err != nil {
		return nil, err
	}
	return countedFile{f, d.written}, nil
}

type countedFile struct {
	File
	written *atomic.Uint64
}

// WriteAt is of [File].
func (f countedFile) WriteAt(p []byte, off int64) (int, error) {
	n, err := f.File.WriteAt(p, off)
	f.written.Add(uint64(n))
	return n, err
}

// Written is how many bytes were written to the journal's files since Open, the zeros of new segments among them. What the
// file system writes besides, and what it makes of them, is not in it.
func (j *Journal) Written() uint64 { return j.written.Load() }
