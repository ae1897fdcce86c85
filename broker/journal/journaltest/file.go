// SPDX-License-Identifier: Apache-2.0

package journaltest

import (
	"bytes"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"

	"golang.org/x/sys/unix"
)

const (
	pageSize   = 4096
	sectorSize = 512
)

// contents are pages by number; a page is never changed in place, and one that is missing holds zeros.
type contents map[int64][]byte

// inode is a file: what the cache holds and what the disk holds.
type inode struct {
	name           string // since it was renamed
	cache, disk    contents
	size, diskSize int64
	dirty          map[int64]bool // pages that a sync would write
}

func (f *inode) read(b []byte, off int64) {
	for n := 0; n < len(b); {
		at := off + int64(n)
		k, o := at/pageSize, int(at%pageSize)
		piece := b[n:min(len(b), n+pageSize-o)]
		if p := f.cache[k]; p != nil {
			copy(piece, p[o:])
		} else {
			clear(piece)
		}
		n += len(piece)
	}
}

func (f *inode) write(b []byte, off int64) {
	if f.cache == nil {
		f.cache, f.dirty = contents{}, map[int64]bool{}
	}
	for n := 0; n < len(b); {
		at := off + int64(n)
		k, o := at/pageSize, int(at%pageSize)
		piece := b[n:min(len(b), n+pageSize-o)]
		f.dirty[k] = true
		n += len(piece)
		if isZero(piece) && (f.cache[k] == nil || len(piece) == pageSize) {
			delete(f.cache, k)
			continue
		}
		p := make([]byte, pageSize)
		copy(p, f.cache[k])
		copy(p[o:], piece)
		f.cache[k] = p
	}
	f.size = max(f.size, off+int64(len(b)))
}

func isZero(b []byte) bool { return bytes.Count(b, []byte{0}) == len(b) }

func (f *inode) truncate() {
	for k := range f.cache {
		f.write(make([]byte, pageSize), k*pageSize)
	}
	f.size = 0
}

func (f *inode) sync() {
	if f.disk == nil {
		f.disk = contents{}
	}
	for k := range f.dirty {
		f.disk.set(k, f.cache[k])
	}
	f.dirty, f.diskSize = map[int64]bool{}, f.size
}

func (c contents) set(k int64, p []byte) {
	if p == nil {
		delete(c, k)
	} else {
		c[k] = p
	}
}

// spoil is a sync that failed: the pages hold neither what they held nor what they should, and count as written.
func (f *inode) spoil() {
	if f.disk == nil {
		f.disk = contents{}
	}
	bad := bytes.Repeat([]byte{0x5A}, pageSize)
	for k := range f.dirty {
		f.cache[k], f.disk[k] = bad, bad
	}
	f.dirty, f.diskSize = map[int64]bool{}, f.size
}

// crash leaves what the disk holds, and of what was on its way there as much as s says.
func (f *inode) crash(s Survival, by *rand.Rand) {
	if f.disk == nil {
		f.disk = contents{}
	}
	for _, k := range slices.Sorted(maps.Keys(f.dirty)) {
		switch {
		case s == Kept, s == Torn && by.IntN(3) == 0:
			f.disk.set(k, f.cache[k])
		case s == Torn && by.IntN(2) == 0:
			f.disk.set(k, mix(f.disk[k], f.cache[k], by))
		}
	}
	if s == Kept || s == Torn && by.IntN(2) == 0 {
		f.diskSize = f.size
	}
	f.size, f.dirty, f.cache = f.diskSize, map[int64]bool{}, contents{}
	for k, p := range f.disk {
		if k*pageSize >= f.size {
			delete(f.disk, k)
			continue
		}
		f.cache[k] = p
	}
}

// mix takes each sector from one of two pages.
func mix(a, b []byte, by *rand.Rand) []byte {
	p := make([]byte, pageSize)
	for o := 0; o < pageSize; o += sectorSize {
		from := a
		if by.IntN(2) == 0 {
			from = b
		}
		if from != nil {
			copy(p[o:o+sectorSize], from[o:])
		}
	}
	return p
}

// file is an open file.
type file struct {
	d        *Disk
	epoch    int
	f        *inode
	name     string
	writable bool
	closed   bool // guarded by Disk.mu
}

func (x *file) ReadAt(b []byte, off int64) (int, error) {
	_, err := x.d.enterAt(x.epoch, "read", x.name, x.f, off, len(b))
	defer x.d.mu.Unlock()
	if x.closed {
		return 0, fs.ErrClosed
	}
	if err != nil {
		return 0, err
	}
	n := int(min(int64(len(b)), max(0, x.f.size-off)))
	x.f.read(b[:n], off)
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (x *file) WriteAt(b []byte, off int64) (int, error) {
	how, err := x.d.enterAt(x.epoch, "write", x.name, x.f, off, len(b))
	defer x.d.mu.Unlock()
	n := len(b)
	switch {
	case x.closed:
		return 0, fs.ErrClosed
	case !x.writable:
		return 0, unix.EBADF
	case how == refused:
		return 0, err
	case how != fine:
		n /= 2
	}
	if grow := off + int64(n) - x.f.size; x.d.limit > 0 && grow > 0 && x.d.used()+grow > x.d.limit {
		n, err = int(max(0, int64(n)-grow)), unix.ENOSPC
	}
	x.f.write(b[:n], off)
	return n, err
}

func (x *file) Datasync() error {
	how, err := x.d.enterAt(x.epoch, "datasync", x.name, x.f, 0, 0)
	defer x.d.mu.Unlock()
	switch {
	case x.closed:
		return fs.ErrClosed
	case how == fine && x.d.frozen && len(x.f.dirty) > 0:
		return unix.EROFS
	case how == fine:
		x.f.sync()
	case how == failed:
		x.f.spoil()
	}
	return err
}

func (x *file) Size() (int64, error) {
	_, err := x.d.enterAt(x.epoch, "read", x.name, x.f, 0, 0)
	defer x.d.mu.Unlock()
	return x.f.size, err
}

func (x *file) Close() error {
	x.d.mu.Lock()
	defer x.d.mu.Unlock()
	if x.closed {
		return fs.ErrClosed
	}
	x.closed = true
	return nil
}
