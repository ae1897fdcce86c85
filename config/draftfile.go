// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

func (f *draftFile) save(text string) (err error) {
	name, err := filepath.EvalSymlinks(f.name)
	if errors.Is(err, fs.ErrNotExist) && f.was == nil {
		name, err = f.name, os.MkdirAll(filepath.Dir(f.name), 0o755)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	// Nobody else who does this comes between the look at the file and its replacement. The lock ends with dir.
	if err := syscall.Flock(int(dir.Fd()), syscall.LOCK_EX); err != nil {
		return err
	}
	now, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if !bytes.Equal(now, f.was) {
		return ErrChanged
	}
	return replace(name, text, likeFile(name))
}

// likeFile gives a file the mode and owner of the one at name, or of a new file of the configuration.
func likeFile(name string) func(*os.File) error {
	return func(f *os.File) error {
		info, err := os.Stat(name)
		if errors.Is(err, fs.ErrNotExist) {
			return private(f)
		}
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && (int(st.Uid) != os.Geteuid() || int(st.Gid) != os.Getegid()) {
			if err := f.Chown(int(st.Uid), int(st.Gid)); err != nil {
				return err
			}
		}
		return f.Chmod(info.Mode().Perm())
	}
}

// private lets the group edged read a file, beside its owner.
func private(f *os.File) error {
	g, err := user.LookupGroup("edged")
	if err != nil {
		return nil // it is readable by its owner alone
	}
	gid, err := strconv.Atoi(g.Gid)
	if err != nil {
		return fmt.Errorf("group edged: %w", err)
	}
	if err := f.Chown(-1, gid); err != nil {
		if errors.Is(err, fs.ErrPermission) {
			return nil // whoever may not give it to the group runs a gateway of his own
		}
		return err
	}
	return f.Chmod(0o640)
}

// WriteSecret puts a secret into a file that its owner and the group edged, where there is one, may read, and makes the
// directory for it where that is missing.
func WriteSecret(path string, secret []byte) error {
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o750); err == nil {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(reachable(f), f.Close()); err != nil {
			return err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return err
	}
	return replace(path, string(secret)+"\n", private)
}

// reachable lets the group edged into a directory, beside its owner.
func reachable(dir *os.File) error {
	if err := private(dir); err != nil {
		return err
	}
	return dir.Chmod(0o750)
}
