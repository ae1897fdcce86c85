// SPDX-License-Identifier: Apache-2.0

package path

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// volume is a file system of its own, in a file.
type volume struct{ image, mount string }

// newVolume makes a file system of a type and some MiB, and mounts it at a directory, which it makes.
func newVolume(t *testing.T, fs string, size int64, dir string) *volume {
	t.Helper()
	v := &volume{filepath.Join(t.TempDir(), "image"), dir}
	if err := errors.Join(os.Mkdir(v.mount, 0o700), os.WriteFile(v.image, nil, 0o600), os.Truncate(v.image, size<<20)); err != nil {
		t.Fatal(err)
	}
	command(t, "mkfs."+fs, "-q", v.image)
	v.attach(t)
	t.Cleanup(func() { v.detach(t) })
	return v
}

func (v *volume) attach(t *testing.T) {
	t.Helper()
	command(t, "mount", "-o", "loop", v.image, v.mount)
}

// detach unmounts, once nobody has anything open there: a child that is just being started has what its parent has.
func (v *volume) detach(t *testing.T) {
	t.Helper()
	eventually(t, 10*time.Second, "nobody uses "+v.mount, func() bool { return unix.Unmount(v.mount, 0) == nil })
}

// cut stops all writing at once: what the file system had not given to the device is lost, as when the power fails.
func (v *volume) cut(t *testing.T) {
	t.Helper()
	const fsIocShutdown, noLogFlush = 0x8004587d, 2
	d, err := os.Open(v.mount)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.IoctlSetPointerInt(int(d.Fd()), fsIocShutdown, noLogFlush), d.Close()); err != nil {
		t.Fatalf("shut down %s: %v", v.mount, err)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// available returns how many bytes of the volume are free.
func (v *volume) available(t *testing.T) uint64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(v.mount, &st); err != nil {
		t.Fatal(fmt.Errorf("look at %s: %w", v.mount, err))
	}
	return st.Bavail * uint64(st.Bsize)
}
