// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// process is a program that is measured.
type process struct {
	cmd *exec.Cmd
	err bytes.Buffer
}

func run(name string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command(name, args...)}
	p.cmd.Stderr = &p.err
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	var exit *exec.ExitError
	if err := p.cmd.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// cpu is the processor time that the process has used so far, of all its threads, as the scheduler counts it: /proc tells it
// in steps of 10 ms only.
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h
	var t syscall.Timespec
	clock := ^p.cmd.Process.Pid<<3 | scheduled
	if _, _, err := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); err != 0 {
		return 0, fmt.Errorf("read the processor time of process %d: %w", p.cmd.Process.Pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// memory reads one line of /proc/PID/status, in KiB.
func (p *process) memory(name string) (int, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.Atoi(strings.Fields(rest)[0])
		}
	}
	return 0, fmt.Errorf("/proc does not tell %s", name)
}

// gateway is a running edged.
type gateway struct {
	*process
	port  int
	start time.Duration // from exec to READY
}

// startGateway runs edged with a configuration and waits for READY.
func startGateway(o options, dir, tables string) (_ *gateway, err error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "edged.toml")
	text := fmt.Sprintf("[gateway]\nid = \"bench\"\n[console]\nlisten = \"\"\n[broker]\nlisten = [\"127.0.0.1:%d\"]\n%s", port, tables)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	socket := filepath.Join(dir, "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, notify.Close(), os.Remove(socket)) }()
	p := &process{cmd: exec.Command(o.edged, "run", "--quiet", "--config", file, "--state", filepath.Join(dir, "state"))}
	p.cmd.Stderr = &p.err
	p.cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+socket)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	began := time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := notify.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return nil, fmt.Errorf("wait for READY: %w\n%s", err, p.err.String())
		}
		if bytes.Contains(buf[:n], []byte("READY=1")) {
			return &gateway{p, port, time.Since(began)}, nil
		}
	}
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	return port, l.Close()
}

// inDir calls f with a directory that goes afterwards.
func inDir(f func(dir string) error) (err error) {
	dir, err := os.MkdirTemp("", "edged-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	return f(dir)
}
