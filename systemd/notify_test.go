// SPDX-License-Identifier: Apache-2.0

package systemd_test

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"edged/systemd"
)

// manager stands in for systemd: it listens where the process is told to report, and gives what was said last.
func manager(t *testing.T) (heard func() string) {
	t.Helper()
	addr := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	conn, err := net.ListenUnixgram("unixgram", addr)
	if err != nil {
		t.Fatalf("listen on %s: %v", addr.Name, err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Errorf("close %s: %v", addr.Name, err)
		}
	})
	t.Setenv("NOTIFY_SOCKET", addr.Name)
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatalf("set a deadline: %v", err)
		}
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatalf("nothing was said: %v", err)
		}
		return string(b[:n])
	}
}

func TestTheManagerHears(t *testing.T) {
	heard := manager(t)
	for _, c := range []struct {
		name string
		say  func() error
		want string // a regular expression for the whole message
	}{
		{"ready", systemd.Ready, `READY=1`},
		{"stopping", systemd.Stopping, `STOPPING=1`},
		{"alive", systemd.Alive, `WATCHDOG=1`},
		{"reloading", systemd.Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\n?`},
		{"status", func() error { return systemd.Status("cloud up, 3 devices") }, `STATUS=cloud up, 3 devices`},
		{"status with line breaks", func() error { return systemd.Status("a\r\nREADY=1\n") }, `STATUS=a READY=1`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := c.say(); err != nil {
				t.Fatal(err)
			}
			if got := heard(); !regexp.MustCompile(`^` + c.want + `$`).MatchString(got) {
				t.Errorf("heard %q, want %q", got, c.want)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := systemd.Ready(); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	if err := systemd.Ready(); err == nil {
		t.Error("a service manager that cannot be reached is not told of")
	}
}

func TestWatchdogInterval(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		name      string
		usec, pid string
		want      time.Duration
		fails     bool
	}{
		{"none", "", "", 0, false},
		{"ours", "30000000", self, 30 * time.Second, false},
		{"of another process", "30000000", "1", 0, false},
		{"not a number", "soon", self, 0, true},
		{"impossible", "-1", self, 0, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("WATCHDOG_USEC", c.usec)
			t.Setenv("WATCHDOG_PID", c.pid)
			got, err := systemd.WatchdogInterval()
			if got != c.want || (err != nil) != c.fails {
				t.Errorf("WATCHDOG_USEC=%q WATCHDOG_PID=%q: got %v, %v, want %v, error %v", c.usec, c.pid, got, err, c.want, c.fails)
			}
		})
	}
}
