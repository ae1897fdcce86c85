// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/bridge/port"
)

// pty is a pseudo terminal: wire is the device's end, name what edged opens.
type pty struct {
	wire *os.File
	name string
}

func newPTY(t *testing.T) *pty {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	y := &pty{os.NewFile(uintptr(fd), "ptmx"), fmt.Sprintf("/dev/pts/%d", n)}
	t.Cleanup(func() { closed(t, y.wire) })
	return y
}

// closed closes what may be closed already.
func closed(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func system() *port.System { return port.New("", slog.New(slog.DiscardHandler)) }

func mode(t *testing.T, s string) port.Mode {
	t.Helper()
	m, err := port.ParseSerial(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t *testing.T, s *port.System, name string) port.Port {
	t.Helper()
	p, err := s.Open(t.Context(), port.Request{Name: name, Mode: mode(t, "9600 8N1")})
	if err != nil {
		t.Fatalf("open %s: %v", name, err)
	}
	t.Cleanup(func() { closed(t, p) })
	return p
}

// within fails when f takes longer than d.
func within(t *testing.T, d time.Duration, what string, f func() error) error {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		return err
	case <-time.After(d):
		t.Fatalf("%s: not done after %v", what, d)
		return nil
	}
}

// eventually waits until is says true.
func eventually(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for !is() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
}
