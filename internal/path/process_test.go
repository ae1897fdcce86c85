// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// line is one that a process wrote, and when.
type line struct {
	at   time.Time
	text string
}

// process is a child in a namespace that is killed at the end of the test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	said []line // what it wrote to stderr, its last 10,000 lines
}

// start starts cmd in the namespace. What it writes to stdout is handed to out by the line, what it writes to stderr kept.
func (h *host) start(t *testing.T, cmd *exec.Cmd, out func(text string)) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	// The child dies with us. Go ends no thread while the program runs, so that of its birth lives as long as we do.
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	var reading sync.WaitGroup
	read := func(from io.ReadCloser, err error, take func(string)) {
		if err != nil {
			t.Fatal(err)
		}
		reading.Go(func() {
			lines := bufio.NewScanner(from)
			lines.Buffer(nil, 1<<20)
			for lines.Scan() {
				take(lines.Text())
			}
		})
	}
	stderr, err := cmd.StderrPipe()
	read(stderr, err, p.hear)
	if out != nil {
		stdout, err := cmd.StdoutPipe()
		read(stdout, err, out)
	}
	if err := h.inside(cmd.Start); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		reading.Wait()
		_ = cmd.Wait() // how it ended says ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), p.tail())
		}
	})
	return p
}

func (p *process) hear(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.said) >= 10_000 {
		p.said = append(p.said[:0:0], p.said[5_000:]...)
	}
	p.said = append(p.said, line{time.Now(), text})
}

// heard returns when the process first said something like this, not before since; zero: it did not.
func (p *process) heard(since time.Time, like string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.said {
		if !l.at.Before(since) && strings.Contains(l.text, like) {
			return l.at
		}
	}
	return time.Time{}
}

// count returns how often it said something like this since then.
func (p *process) count(since time.Time, like string) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.said {
		if !l.at.Before(since) && strings.Contains(l.text, like) {
			n++
		}
	}
	return n
}

func (p *process) tail() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, l := range p.said[max(0, len(p.said)-60):] {
		b.WriteString(l.at.Format("05.000 ") + l.text + "\n")
	}
	return b.String()
}

func (p *process) signal(s syscall.Signal) {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		panic(err)
	}
}

// kill is kill -9, and waits for the end.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop ends the process in order.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		t.Fatalf("%s does not end on SIGTERM\n%s", p.cmd.Path, p.tail())
	}
}

func closed(t *testing.T, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// eventually waits until is says true, and returns how long that took.
func eventually(t *testing.T, d time.Duration, what string, is func() bool) time.Duration {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
	for !is() {
		<-tick.C
		if time.Since(began) > d {
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
	return time.Since(began)
}

// pause lets real time pass: the faults are about time itself.
func pause(d time.Duration) { <-time.After(d) }
