// SPDX-License-Identifier: Apache-2.0

// Package hardware is what sensors that are on no port may use of the machine: the kernel's files, I²C buses, GPIO
// lines.
package hardware

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"edged/devices"
)

// Machine gives the machine whose root directory is root, "/" on a real system. state is the directory in which edged
// keeps its own.
func Machine(root, state string) devices.Machine {
	return devices.Machine{
		Files: files{os.DirFS(root), root},
		Bus:   openBus,
		Line:  takeLine(filepath.Join(root, "dev")),
		Usage: func() (free, total uint64, err error) { return usage(state) },
	}
}

// files are those below a directory.
type files struct {
	fs.FS
	root string
}

// WriteFile writes to a file that is there: the kernel makes its own.
func (f files) WriteFile(name, text string) error {
	if !fs.ValidPath(name) {
		return fmt.Errorf("write %s: %w", name, fs.ErrInvalid)
	}
	file, err := os.OpenFile(filepath.Join(f.root, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(text)
	return errors.Join(err, file.Close())
}

func usage(dir string) (free, total uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, fmt.Errorf("ask for the room on %s: %w", dir, err)
	}
	block := uint64(st.Bsize)
	return st.Bavail * block, st.Blocks * block, nil
}
