// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// FS is the journal's way to the operating system. Package journaltest has one that fails on demand.
type FS interface {
	// OpenDir makes the directory when it is missing, and locks it for this process until Close. An error means that it
	// cannot be used at all; a read-only file system is no error.
	OpenDir(path string) (Dir, error)
}

// Dir is a locked directory. Names are those of files in it.
type Dir interface {
	Names() ([]string, error)
	Open(name string, flag int) (File, error) // flag as in os.OpenFile
	Rename(from, to string) error
	Remove(name string) error
	Sync() error          // makes what was created, renamed and removed durable
	Free() (int64, error) // bytes that this process may still write
	Close() error
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	Size() (int64, error)
	Datasync() error // as fdatasync(2)
	Close() error
}

// OS is the operating system.
func OS() FS { return osFS{} }

type osFS struct{}

// osDir is an open directory: the descriptor bears the lock and is what Sync syncs.
type osDir struct {
	path   string
	fd     *os.File
	syncer *syncer
}

func (osFS) OpenDir(path string) (Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	fd, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	if err := lock(path, fd); err != nil {
		return nil, errors.Join(err, fd.Close())
	}
	return &osDir{path, fd, newSyncer()}, nil
}

func lock(path string, fd *os.File) error {
	if err := unix.Access(path, unix.W_OK|unix.X_OK); err != nil && !errors.Is(err, unix.EROFS) {
		return fmt.Errorf("it may not be written: %w", err)
	}
	err := unix.Flock(int(fd.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another process uses it: stop that, or give this one a directory of its own")
	}
	if err != nil {
		return fmt.Errorf("lock it: %w", err)
	}
	return nil
}

func (d *osDir) Names() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func (d *osDir) Open(name string, flag int) (File, error) {
	f, err := os.OpenFile(filepath.Join(d.path, name), flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f, d.syncer}, nil
}

func (d *osDir) Rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d *osDir) Remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d *osDir) Sync() error { return d.fd.Sync() }

func (d *osDir) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(d.fd.Fd()), &s); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", d.path, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil
}

func (d *osDir) Close() error { return errors.Join(d.syncer.Close(), d.fd.Close()) }

type osFile struct {
	*os.File
	syncer *syncer
}

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Datasync() error { return f.syncer.Datasync(f.File) }
