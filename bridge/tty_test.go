// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// tty is a pseudo terminal under a name of its own, which can be unplugged and come back.
type tty struct {
	t    *testing.T
	wire *os.File
	name string
}

func newTTY(t *testing.T) *tty {
	t.Helper()
	y := &tty{t: t, name: filepath.Join(t.TempDir(), "tty")}
	y.plug()
	return y
}

func (y *tty) plug() {
	y.t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		y.t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		y.t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		y.t.Fatal(err)
	}
	if err := os.Symlink(fmt.Sprintf("/dev/pts/%d", n), y.name); err != nil {
		y.t.Fatal(err)
	}
	wire := os.NewFile(uintptr(fd), "ptmx")
	y.wire = wire
	y.t.Cleanup(func() { _ = wire.Close() }) // it may be unplugged
}

func (y *tty) unplug() {
	y.t.Helper()
	if err := os.Remove(y.name); err != nil {
		y.t.Fatal(err)
	}
	if err := y.wire.Close(); err != nil {
		y.t.Fatal(err)
	}
}

func (y *tty) send(p string) {
	y.t.Helper()
	if _, err := y.wire.WriteString(p); err != nil {
		y.t.Fatalf("write to the wire: %v", err)
	}
}
