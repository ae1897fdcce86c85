// SPDX-License-Identifier: Apache-2.0

// Package child runs a program whose output is what a device sends, and whose input is what is sent to it.
package child

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	grace = time.Second // between SIGTERM and SIGKILL
	shell = "/bin/sh"
)

// Child is a program that runs, with a process group of its own. Read and Write end with an error once it has ended.
type Child struct {
	cmd     *exec.Cmd
	in, out *os.File
	talk    *talk // its standard error
	closed  atomic.Bool
	ended   chan struct{} // closed once it and its group are gone
	why     error         // of the end, from then on

	mu     sync.Mutex
	reaped bool // its number may be another process's
	asked  bool // it was told to end
}

// Start runs a command line of the shell. What it writes to standard error goes to the log, a few lines a minute.
func Start(command string, log *slog.Logger) (_ *Child, err error) {
	c := &Child{cmd: exec.Command(shell, "-c", command), ended: make(chan struct{})}
	c.cmd.Env = environment(os.Environ())
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var theirs [3]*os.File
	defer func() {
		for _, f := range theirs {
			if f != nil {
				err = errors.Join(err, f.Close())
			}
		}
	}()
	var errOut *os.File
	for i, pipe := range []struct{ read, write **os.File }{{&theirs[0], &c.in}, {&c.out, &theirs[1]}, {&errOut, &theirs[2]}} {
		if *pipe.read, *pipe.write, err = os.Pipe(); err != nil {
			return nil, errors.Join(fmt.Errorf("make pipe %d: %w", i, err), shut(c.in, c.out))
		}
	}
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = theirs[0], theirs[1], theirs[2]
	if err := c.cmd.Start(); err != nil {
		return nil, errors.Join(err, shut(c.in, c.out, errOut))
	}
	c.talk = newTalk(errOut, log)
	go c.reap()
	return c, nil
}

// environment keeps what programs need to find files, the time zone and their language: edged's own may hold secrets,
// and what the service manager told it is not the child's business.
func environment(all []string) []string {
	kept := []string{}
	for _, e := range all {
		name, _, _ := strings.Cut(e, "=")
		switch {
		case name == "PATH", name == "HOME", name == "USER", name == "TZ", name == "TMPDIR", name == "LANG", strings.HasPrefix(name, "LC_"):
			kept = append(kept, e)
		}
	}
	return kept
}

// reap waits for the program's end and ends what is left of its process group.
func (c *Child) reap() {
	for {
		// It stays a zombie meanwhile, so that nobody else gets its number before its group is gone.
		err := unix.Waitid(unix.P_PID, c.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	c.signal(unix.SIGKILL)
	c.mu.Lock()
	c.reaped = true
	c.mu.Unlock()
	err := c.cmd.Wait()
	c.talk.end()
	c.why = fmt.Errorf("the program ended: %s", outcome(err, c.cmd.ProcessState, c.talk.last()))
	close(c.ended)
	// A process that has left the group may hold the pipe for ever; what the program wrote is read by then.
	time.AfterFunc(grace, func() { _ = c.out.Close() }) // it may be closed already
}

// outcome tells how a program ended and what it said last.
func outcome(err error, state *os.ProcessState, said string) string {
	text := "exit status 0"
	if err != nil {
		text = err.Error()
	}
	if s, ok := state.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		text = "killed by " + s.Signal().String()
	}
	if said != "" {
		text += ", it said: " + said
	}
	return text
}

// signal goes to the program and all that it has started, unless they have left its group.
func (c *Child) signal(s unix.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.reaped {
		_ = unix.Kill(-c.cmd.Process.Pid, s) // it fails only where nobody is left
	}
}

// end tells the program to end, and does so itself after a second.
func (c *Child) end() {
	c.mu.Lock()
	first := !c.asked
	c.asked = true
	c.mu.Unlock()
	if !first {
		return
	}
	c.signal(unix.SIGTERM)
	go func() {
		late := time.NewTimer(grace)
		defer late.Stop()
		select {
		case <-c.ended:
		case <-late.C:
			c.signal(unix.SIGKILL)
		}
	}()
}

// Read reads what the program prints. Where it prints no more it is ended, and the error says how it did.
func (c *Child) Read(p []byte) (int, error) {
	n, err := c.out.Read(p)
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		return n, err
	}
	if !c.closed.Load() {
		c.end()
		<-c.ended
	}
	if c.closed.Load() {
		return n, os.ErrClosed
	}
	return n, c.why
}

// Write writes to the program's standard input.
func (c *Child) Write(p []byte) (int, error) { return c.in.Write(p) }

// SetReadDeadline bounds Read.
func (c *Child) SetReadDeadline(t time.Time) error { return c.out.SetReadDeadline(t) }

// SetWriteDeadline bounds Write.
func (c *Child) SetWriteDeadline(t time.Time) error { return c.in.SetWriteDeadline(t) }

// Close ends the program and its process group, by force after a second.
func (c *Child) Close() error {
	if c.closed.Swap(true) {
		return os.ErrClosed
	}
	err := shut(c.in, c.out)
	c.end()
	<-c.ended
	return err
}

func shut(files ...*os.File) error {
	var all []error
	for _, f := range files {
		if f != nil {
			all = append(all, f.Close())
		}
	}
	return errors.Join(all...)
}
