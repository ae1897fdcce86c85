// SPDX-License-Identifier: Apache-2.0

package port

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func slave(t *testing.T) string {
	t.Helper()
	m, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	if err := unix.IoctlSetPointerInt(int(m.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(m.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/dev/pts/%d", n)
}

func TestForbiddenPortSaysWhatToDo(t *testing.T) {
	name := slave(t)
	for _, c := range []struct {
		mode os.FileMode
		says string
	}{
		{0o000, "udev rule"},
		{0o060, "usermod -aG"},
	} {
		if err := os.Chmod(name, c.mode); err != nil {
			t.Fatal(err)
		}
		s := New("", slog.New(slog.DiscardHandler))
		err := asNobody(t, func() error {
			_, err := s.openUART(name, Mode{9600, 8, 'N', 1})
			return err
		})
		e := new(Error)
		if !errors.As(err, &e) || e.Code != Forbidden || !strings.Contains(e.Text, c.mode.String()[1:]) && !strings.Contains(e.Text, fmt.Sprintf("%04o", c.mode)) {
			t.Errorf("mode %v: %v", c.mode, err)
			continue
		}
		if c.mode == 0o060 && os.Getegid() == gidOf(t, name) { // we are in the group: it is not the group's fault
			continue
		}
		if !strings.Contains(e.Do, c.says) {
			t.Errorf("mode %v: %v, want it to say %q", c.mode, err, c.says)
		}
	}
}

func gidOf(t *testing.T, name string) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Gid)
}

// asNobody runs f with the rights of a user who has none; a user who is not root has none on a file of mode 0 anyway.
func asNobody(t *testing.T, f func() error) error {
	t.Helper()
	if os.Geteuid() != 0 {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		if err := unix.Setfsuid(65534); err != nil {
			done <- err
			return
		}
		if err := unix.Setfsgid(65534); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

func TestBusyPortNamesTheOtherProgram(t *testing.T) {
	name := slave(t)
	cmd := exec.Command("flock", "--exclusive", name, "sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	s := New("", slog.New(slog.DiscardHandler))
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 500 {
		p, err := s.openUART(name, Mode{9600, 8, 'N', 1})
		if err == nil { // it does not have the lock yet
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			<-tick.C
			continue
		}
		e := new(Error)
		if !errors.As(err, &e) || e.Code != Busy || !strings.Contains(e.Text, fmt.Sprintf("(pid %d)", cmd.Process.Pid)) && !strings.Contains(e.Text, "sleep (pid") {
			t.Errorf("%v, want %s and the name of the program", err, Busy)
		}
		return
	}
	t.Fatal("the other program never had the port")
}

func TestHangingPortIsGivenUpAndClosedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New("", slog.New(slog.DiscardHandler))
		release := make(chan struct{})
		var opens atomic.Int32
		late := &closeable{}
		s.open = func(string, Mode) (Port, error) {
			opens.Add(1)
			<-release
			return late, nil
		}
		for range 3 {
			begun := time.Now()
			_, err := s.openBounded(t.Context(), "/dev/x", "/dev/x", Mode{})
			e := new(Error)
			if !errors.As(err, &e) || e.Code != Missing || !strings.Contains(e.Text, "hangs") {
				t.Errorf("%v", err)
			}
			if took := time.Since(begun); took > openTimeout {
				t.Errorf("it took %v", took)
			}
		}
		if opens.Load() != 1 {
			t.Errorf("%d opens wait in the kernel, want 1", opens.Load())
		}
		close(release)
		synctest.Wait()
		if !late.closed.Load() {
			t.Error("the port that came too late is still open")
		}
		if p, err := s.openBounded(t.Context(), "/dev/x", "/dev/x", Mode{}); err != nil || p != Port(late) {
			t.Errorf("later: %v, %v", p, err)
		}
	})
}

type closeable struct {
	Port
	closed atomic.Bool
}

func (c *closeable) Close() error { c.closed.Store(true); return nil }

// sysfs writes a tree as the kernel shows it: two CP2102 with and without a serial number, an FT2232 with two ports,
// and a port that is not USB.
func sysfs(t *testing.T) *System {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	usb := func(path, vendor, product, serial string, ttys ...string) {
		dir := "sys/devices/pci0/usb1/" + path
		write(dir+"/idVendor", vendor)
		write(dir+"/idProduct", product)
		if serial != "" {
			write(dir+"/serial", serial)
		}
		for i, tty := range ttys {
			face := fmt.Sprintf("%s/%s:1.%d", dir, path, i)
			write(face+"/bInterfaceNumber", fmt.Sprintf("%02d", i))
			write(face+"/"+tty+"/tty/"+tty+"/dev", "188:0")
			link(t, root, "../../../devices/pci0/usb1/"+path+fmt.Sprintf("/%s:1.%d/%s", path, i, tty), "sys/class/tty/"+tty+"/device")
		}
	}
	write("sys/devices/pci0/usb1/idVendor", "1d6b")
	write("sys/devices/pci0/usb1/idProduct", "0002")
	usb("1-1.1", "10c4", "ea60", "0001", "ttyUSB0")
	usb("1-1.2", "10c4", "ea60", "0001", "ttyUSB1")
	usb("1-1.3", "10c4", "ea60", "0002", "ttyUSB2")
	usb("1-2", "0403", "6010", "", "ttyUSB3", "ttyUSB4")
	write("sys/devices/platform/serial8250/tty/ttyS0/dev", "4:64")
	link(t, root, "../../../devices/platform/serial8250", "sys/class/tty/ttyS0/device")
	write("sys/class/tty/console/dev", "5:1")
	return New(root, slog.New(slog.DiscardHandler))
}

func link(t *testing.T, root, to, name string) {
	t.Helper()
	name = filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, name); err != nil {
		t.Fatal(err)
	}
}

func TestUSBPortsAreFoundByWhatTheyAre(t *testing.T) {
	s := sysfs(t)
	for _, c := range []struct{ name, path, says string }{
		{"usb:10c4:ea60:0002", "/dev/ttyUSB2", ""},
		{"usb:10C4:EA60:0002", "/dev/ttyUSB2", ""},
		{"usb:10c4:ea60@1-1.2", "/dev/ttyUSB1", ""},
		{"usb:10c4:ea60:0001@1-1.1", "/dev/ttyUSB0", ""},
		{"usb:0403:6010@1-2:1.1", "/dev/ttyUSB4", ""},
		{"usb:0403:6010@1-2", "", "usb:0403:6010@1-2:1.0 ("},
		{"usb:10c4:ea60", "", "3 ports have this name"},
		{"usb:10c4:ea60:0001", "", "usb:10c4:ea60:0001@1-1.1 ("},
		{"usb:1a86:7523", "", "no such USB adapter"},
		{"usb:1d6b:0002", "", "no such USB adapter"},
		{"usb:10c4:ea60:0002@1-1.1", "", "no such USB adapter"},
	} {
		path, err := s.findUSB(c.name)
		switch {
		case c.says == "" && (err != nil || path != filepath.Join(s.root, c.path)):
			t.Errorf("%s: %s, %v; want %s", c.name, path, err, c.path)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %s, %v; want it to say %q", c.name, path, err, c.says)
		}
	}
	if _, err := New(t.TempDir(), slog.New(slog.DiscardHandler)).findUSB("usb:10c4:ea60"); err == nil {
		t.Error("an adapter was found on a machine without any port")
	}
}

func TestEventsAboutPorts(t *testing.T) {
	for event, want := range map[string]bool{
		"add@/devices/x/tty/ttyUSB0\x00ACTION=add\x00SUBSYSTEM=tty\x00DEVNAME=ttyUSB0\x00": true,
		"libudev\x00\xfe\xed\xca\xfe(\x00\x00\x00\x00ACTION=add\x00SUBSYSTEM=tty\x00":      true,
		"add@/devices/x\x00ACTION=add\x00SUBSYSTEM=block\x00":                              false,
		"": false,
	} {
		if got := aboutPorts([]byte(event)); got != want {
			t.Errorf("%q: %v", event, got)
		}
	}
}

func TestWatchWakesAndEnds(t *testing.T) {
	s := New("", slog.New(slog.DiscardHandler))
	before := s.Changed()
	s.wake()
	select {
	case <-before:
	default:
		t.Error("who waits was not woken")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("Watch does not end with its context")
	}
}

// echo is a device that says "tick" each second and answers what it hears.
type echo struct{ next time.Time }

func (e *echo) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if e.next.IsZero() {
		e.next = now.Add(time.Second)
	}
	if !now.Before(e.next) {
		out = append(out, "tick"...)
		e.next = e.next.Add(time.Second)
	}
	return out, e.next
}

func (e *echo) Receive(p []byte, _ time.Time, out []byte) []byte { return append(out, p...) }

func TestSimulatedWire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New("", slog.New(slog.DiscardHandler)).Open(t.Context(), Request{Name: Sim, Peer: func() Peer { return &echo{} }})
		if err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		buf := make([]byte, 2)
		for _, want := range []string{"ti", "ck", "ti"} {
			if n, err := p.Read(buf); string(buf[:n]) != want || err != nil {
				t.Fatalf("read %q, %v; want %q", buf[:n], err, want)
			}
		}
		if took := time.Since(begun); took != 2*time.Second {
			t.Errorf("two ticks took %v", took)
		}
		if n, err := p.Read(buf); string(buf[:n]) != "ck" || err != nil {
			t.Fatalf("read %q, %v", buf[:n], err)
		}
		if err := p.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read at the deadline: %v", err)
		}
		if err := p.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(10 * time.Millisecond)
			if _, err := p.Write([]byte("hi")); err != nil {
				t.Error(err)
			}
			time.Sleep(10 * time.Millisecond)
			if err := p.Close(); err != nil {
				t.Error(err)
			}
		}()
		if n, err := p.Read(buf); string(buf[:n]) != "hi" || err != nil {
			t.Errorf("the answer is %q, %v", buf[:n], err)
		}
		if _, err := p.Read(buf); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
	})
}
