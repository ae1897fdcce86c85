// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"
)

// tty is a pseudo terminal that plays a UART: the test holds the far end of the wire, edged opens name.
type tty struct {
	wire *os.File
	name string // a symbolic link, so that the device can be unplugged and come back
}

// Ioctls of asm-generic/ioctls.h.
const (
	tiocgptn   = 0x80045430
	tiocsptlck = 0x40045431
)

func newTTY(t *testing.T) *tty {
	t.Helper()
	y := &tty{name: filepath.Join(t.TempDir(), "tty")}
	y.plug(t)
	return y
}

// plug makes a new pseudo terminal under the same name.
func (y *tty) plug(t *testing.T) {
	t.Helper()
	f, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	var n, unlocked int32
	ioctl(t, f, tiocsptlck, &unlocked)
	ioctl(t, f, tiocgptn, &n)
	if err := os.Symlink(fmt.Sprintf("/dev/pts/%d", n), y.name); err != nil {
		t.Fatal(err)
	}
	y.wire = f
	t.Cleanup(func() { closed(t, f.Close()) })
}

// unplug takes the port away.
func (y *tty) unplug(t *testing.T) {
	t.Helper()
	closed(t, y.wire.Close())
	if err := os.Remove(y.name); err != nil {
		t.Fatal(err)
	}
}

func (y *tty) send(t *testing.T, p []byte) {
	t.Helper()
	if _, err := y.wire.Write(p); err != nil {
		t.Fatalf("write to the wire: %v", err)
	}
}

func ioctl(t *testing.T, f *os.File, req uintptr, arg *int32) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, req, uintptr(unsafe.Pointer(arg)))
	}); err != nil {
		t.Fatal(err)
	}
	if errno != 0 {
		t.Fatalf("ioctl %#x: %v", req, errno)
	}
}
