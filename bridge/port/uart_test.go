// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"edged/bridge/port"
)

func code(err error) string {
	e := new(port.Error)
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

func TestBytesGoBothWaysUnchanged(t *testing.T) {
	y := newPTY(t)
	p := open(t, system(), y.name)
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	if _, err := y.wire.Write(all); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(all))
	if err := within(t, 5*time.Second, "read", func() error { _, err := io.ReadFull(p, got); return err }); err != nil || !bytes.Equal(got, all) {
		t.Errorf("read % x, %v", got, err)
	}
	if _, err := p.Write(all); err != nil {
		t.Fatal(err)
	}
	clear(got)
	if err := within(t, 5*time.Second, "write", func() error { _, err := io.ReadFull(y.wire, got); return err }); err != nil || !bytes.Equal(got, all) {
		t.Errorf("the device got % x, %v", got, err)
	}
}

func TestModeIsSet(t *testing.T) {
	y := newPTY(t)
	p, err := system().Open(t.Context(), port.Request{Name: y.name, Mode: mode(t, "57600 7E2")})
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, p)
	fd, err := unix.Open(y.name, unix.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if tio.Cflag&unix.CBAUD != unix.B57600 || tio.Cflag&unix.CSTOPB == 0 || tio.Lflag&(unix.ICANON|unix.ECHO) != 0 {
		t.Errorf("cflag %#x lflag %#x are not raw 57600 baud with two stop bits", tio.Cflag, tio.Lflag)
	}
}

func TestWhatCameBeforeOpeningIsDropped(t *testing.T) {
	y := newPTY(t)
	if _, err := y.wire.WriteString("old\n"); err != nil {
		t.Fatal(err)
	}
	p := open(t, system(), y.name)
	if _, err := y.wire.WriteString("new"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8)
	n, err := p.Read(got)
	if string(got[:n]) != "new" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
}

func TestDeadlines(t *testing.T) {
	y := newPTY(t)
	p := open(t, system(), y.name)
	if err := p.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if err := p.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write to a peer that does not read: %v", err)
	}
}

func TestCloseUnblocksAndWaitsForNoPeer(t *testing.T) {
	y := newPTY(t)
	p := open(t, system(), y.name)
	ended := make(chan error, 2)
	go func() { _, err := p.Write(make([]byte, 1<<20)); ended <- err }()
	go func() { _, err := p.Read(make([]byte, 8)); ended <- err }()
	full := make([]byte, 1)
	eventually(t, 5*time.Second, "the write is under way", func() bool {
		n, err := y.wire.Read(full)
		return err == nil && n == 1
	})
	if err := within(t, 2*time.Second, "close", p.Close); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := within(t, 2*time.Second, "what was blocked", func() error { return <-ended }); !errors.Is(err, os.ErrClosed) {
			t.Errorf("it ended with %v", err)
		}
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestUnplugIsSeenAtOnce(t *testing.T) {
	y := newPTY(t)
	p := open(t, system(), y.name)
	ended := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 8)); ended <- err }()
	closed(t, y.wire)
	if err := within(t, time.Second, "read", func() error { return <-ended }); err == nil {
		t.Error("the read ended without an error")
	}
	if _, err := system().Open(t.Context(), port.Request{Name: y.name, Mode: mode(t, "")}); code(err) != port.Missing {
		t.Errorf("opening it again: %v", err)
	}
}

func TestBusyPortNamesItsHolder(t *testing.T) {
	y := newPTY(t)
	s := system()
	p := open(t, s, y.name)
	_, err := s.Open(t.Context(), port.Request{Name: y.name, Mode: mode(t, "")})
	if code(err) != port.Busy || !strings.Contains(err.Error(), "edged itself") {
		t.Errorf("a port that we have open: %v", err)
	}
	closed(t, p)
	open(t, s, y.name)
}

func TestCrashedHolderLeavesNoPseudoTerminalBusy(t *testing.T) {
	y := newPTY(t)
	fd, err := unix.Open(y.name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	p := open(t, system(), y.name)
	// The flag is of the terminal, so another descriptor sees what a crash would leave.
	exclusive, err := unix.IoctlGetInt(fd, unix.TIOCGEXCL)
	if err != nil {
		t.Fatal(err)
	}
	if exclusive != 0 {
		t.Error("TIOCEXCL is set, and would outlive us (bugst/go-serial#199)")
	}
	closed(t, p)
}

func TestWhatIsNoPort(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", at("dangling")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, code, says string }{
		{at("none"), port.Missing, "no such port"},
		{at("dangling"), port.Missing, "no such port"},
		{at("file"), port.Missing, "is a file"},
		{at("fifo"), port.Missing, "named pipe"},
		{dir, port.Missing, "directory"},
		{"/dev/null", port.Missing, "not a serial port"},
		{at("file") + "/below", port.Missing, "no such port"},
		{"ttyUSB0", port.Missing, "write /dev/"},
		{"sim", port.Missing, "no simulator"},
		{"tcp://127.0.0.1:1", port.Missing, "nothing listens"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := within(t, 4*time.Second, "open", func() error {
				_, err := system().Open(t.Context(), port.Request{Name: c.name, Mode: mode(t, "")})
				return err
			})
			if code(err) != c.code || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.name) {
				t.Errorf("%v, want %s and %q", err, c.code, c.says)
			}
		})
	}
}

func TestDescriptorsAbove1024(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	was := lim
	lim.Cur = min(4096, lim.Max)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}()
	for range 1100 {
		f, err := os.Open("/dev/null")
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, f)
	}
	y := newPTY(t)
	if y.wire.Fd() < 1024 {
		t.Fatalf("descriptor %d is not above 1024", y.wire.Fd())
	}
	if err := unix.SetNonblock(int(y.wire.Fd()), true); err != nil {
		t.Fatal(err)
	}
	p := open(t, system(), y.name)
	if _, err := y.wire.WriteString("q"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 8)
	if n, err := p.Read(got); string(got[:n]) != "q" || err != nil {
		t.Errorf("read %q, %v", got[:n], err)
	}
}

func TestCyclesLeakNothing(t *testing.T) {
	s, y := system(), newPTY(t)
	cycle := func() {
		p, err := s.Open(t.Context(), port.Request{Name: y.name, Mode: mode(t, "")})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() { defer close(ended); _, _ = p.Read(make([]byte, 8)) }()
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		<-ended
	}
	for range 20 {
		cycle()
	}
	fds, routines, threads := count(t, "/proc/self/fd"), runtime.NumGoroutine(), count(t, "/proc/self/task")
	for range 200 {
		cycle()
	}
	eventually(t, 5*time.Second, "goroutines and descriptors are as few as before", func() bool {
		return count(t, "/proc/self/fd") <= fds && runtime.NumGoroutine() <= routines
	})
	if n := count(t, "/proc/self/task"); n > threads+8 { // a blocking call more or less at a time
		t.Errorf("%d threads, before %d", n, threads)
	}
}

func TestBlockedReadersCostNoThread(t *testing.T) {
	s := system()
	before := count(t, "/proc/self/task")
	for range 32 {
		p := open(t, s, newPTY(t).name)
		go func() { _, _ = p.Read(make([]byte, 8)) }()
	}
	if n := count(t, "/proc/self/task"); n > before+16 {
		t.Errorf("%d threads with 32 ports, before %d", n, before)
	}
}

func count(t *testing.T, dir string) int {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestOpenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	y := newPTY(t)
	p, err := system().Open(ctx, port.Request{Name: y.name, Mode: mode(t, "")})
	if err == nil {
		closed(t, p)
	} else if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, 5*time.Second, "the port is free again", func() bool {
		p, err := system().Open(t.Context(), port.Request{Name: y.name, Mode: mode(t, "")})
		if err != nil {
			return false
		}
		closed(t, p)
		return true
	})
}
