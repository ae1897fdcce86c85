// SPDX-License-Identifier: Apache-2.0

package child_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/bridge/port/child"
)

// lines is a log that can be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, command string) (*child.Child, *lines) {
	t.Helper()
	log := &lines{}
	c, err := child.Start(command, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	})
	if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c, log
}

// gone waits until a process is not there any more.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || bytes.Contains(stat, []byte(") Z ")) { // ended, and waits for its parent to notice
			return
		}
	}
	t.Errorf("process %d is still there", pid)
}

func readLine(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	s, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("%q, %v", s, err)
	}
	return strings.TrimSpace(s)
}

func TestWhatAProgramPrintsIsReadAndItsEndTold(t *testing.T) {
	for _, c := range []struct{ command, out, why string }{
		{"echo one; echo two", "one\ntwo\n", "exit status 0"},
		{"echo one; echo bad >&2; exit 3", "one\n", "exit status 3, it said: bad"},
		{"kill -9 $$", "", "killed by killed"},
		{"no-such-program-as-this", "", "not found"},
		{"echo one; exec >&-; exec sleep 1000", "one\n", "killed by terminated"}, // it prints no more, and does not end
	} {
		p, _ := start(t, c.command)
		out, err := io.ReadAll(p)
		if string(out) != c.out || err == nil || !strings.Contains(err.Error(), "the program ended: ") || !strings.Contains(err.Error(), c.why) {
			t.Errorf("%s: %q, %v; want %q, %q", c.command, out, err, c.out, c.why)
		}
	}
}

func TestWhatIsWrittenIsTheProgramsInput(t *testing.T) {
	c, _ := start(t, "cat")
	if _, err := c.Write([]byte("hello\n")); err != nil {
		t.Fatal(err)
	}
	if got := readLine(t, bufio.NewReader(c)); got != "hello" {
		t.Errorf("%q came back", got)
	}
}

func TestCloseEndsTheWholeGroup(t *testing.T) {
	for name, command := range map[string]string{
		"which listens":         "sleep 1000 & echo $!; echo $$; wait",
		"which does not listen": `trap "" TERM; sleep 1000 & echo $!; echo $$; while :; do wait; done`,
	} {
		c, _ := start(t, command)
		r := bufio.NewReader(c)
		var pids []int
		for range 2 {
			pid, err := strconv.Atoi(readLine(t, r))
			if err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		read := make(chan error, 1)
		go func() {
			_, err := r.ReadByte()
			read <- err
		}()
		if err := c.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-read; !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: Read after Close: %v", name, err)
		}
		for _, pid := range pids {
			gone(t, pid)
		}
	}
}

func TestTheEndOfTheProgramIsTheEndOfWhatItStarted(t *testing.T) {
	c, _ := start(t, "sleep 1000 & echo $!")
	out, err := io.ReadAll(c)
	if err == nil || !strings.Contains(err.Error(), "exit status 0") {
		t.Errorf("%q, %v", out, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

// TestAProcessThatLeftTheGroupHoldsNothingUp has one keep both pipes.
func TestAProcessThatLeftTheGroupHoldsNothingUp(t *testing.T) {
	c, _ := start(t, "setsid sleep 1000 & echo $!; sleep 0.2")
	out, err := io.ReadAll(c)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q, %v", out, err)
	}
	if pid, err := strconv.Atoi(strings.TrimSpace(string(out))); err == nil {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
}

func TestStandardErrorGoesToTheLogInMeasure(t *testing.T) {
	c, log := start(t, "i=0; while [ $i -lt 500 ]; do echo line $i >&2; i=$((i+1)); done; echo done")
	if _, err := io.ReadAll(c); err == nil || !strings.Contains(err.Error(), "line 499") {
		t.Errorf("the end: %v", err)
	}
	text := log.String()
	if n := strings.Count(text, "the program says"); n != 10 || !strings.Contains(text, "lines=490") {
		t.Errorf("%d lines in the log:\n%s", n, text)
	}
}

func TestSecretsOfTheEnvironmentStayWithUs(t *testing.T) {
	t.Setenv("EDGED_PASSWORD", "secret")
	t.Setenv("TZ", "Europe/Berlin")
	c, _ := start(t, "env")
	out, _ := io.ReadAll(c)
	if strings.Contains(string(out), "EDGED_PASSWORD") || !strings.Contains(string(out), "TZ=Europe/Berlin") || !strings.Contains(string(out), "PATH=") {
		t.Errorf("the program's environment is\n%s", out)
	}
}
