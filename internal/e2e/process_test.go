// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/internal/built"
)

// TestMain builds edged once as it is shipped, and once with faults that can be injected.
func TestMain(m *testing.M) {
	os.Exit(built.Main(m.Run, built.Tagged(""), built.Tagged("faultinject")))
}

// output collects what a process prints.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// process is a child that is killed at the end of the test.
type process struct {
	cmd      *exec.Cmd
	out, err output
	done     chan struct{}
	failed   error
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	cmd.Stderr = &p.err
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.failed = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		<-p.done
		if t.Failed() {
			t.Logf("%s said:\n%s%s", filepath.Base(cmd.Path), tail(p.out.String()), tail(p.err.String()))
		}
	})
	return p
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
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

// wait waits for the end and returns the exit code.
func (p *process) wait(t *testing.T, d time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(d):
		t.Fatalf("%s still runs after %v\n%s", p.cmd.Path, d, tail(p.err.String()))
		return -1
	}
}

// edged is a running gateway.
type edged struct {
	*process
	dir, bin, config string
	port             int           // of its broker
	readies          chan struct{} // one for each READY=1, as many as fit
	tags             string
	env              []string
}

// gateway describes how to start one.
type gateway struct {
	config string // without [broker] listen, which start adds
	dir    string // state and configuration; "": new
	tags   string // build tags
	port   int    // of its broker; 0: a free one
}

// start runs edged and waits for READY.
func (g gateway) start(t *testing.T) *edged {
	t.Helper()
	e := g.launch(t)
	e.ready(t)
	return e
}

func (g gateway) launch(t *testing.T) *edged {
	t.Helper()
	if g.dir == "" {
		g.dir = t.TempDir()
	}
	if g.port == 0 {
		g.port = freePort(t)
	}
	e := &edged{dir: g.dir, bin: built.Path("edged" + g.tags), port: g.port, tags: g.tags}
	e.config = filepath.Join(g.dir, "edged.toml")
	e.write(t, g.config)
	e.exec(t)
	return e
}

// write writes the configuration file.
func (e *edged) write(t *testing.T, config string) {
	t.Helper()
	text := fmt.Sprintf("[broker]\nlisten = [\"127.0.0.1:%d\"]\n%s", e.port, config)
	if !strings.Contains(config, "[console]") { // its port would be that of every gateway
		text = "[console]\nlisten = \"\"\n" + text
	}
	if err := os.WriteFile(e.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// exec starts the process.
func (e *edged) exec(t *testing.T) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	e.readies = make(chan struct{}, 16)
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		e.hear(notify)
	}()
	t.Cleanup(func() {
		closed(t, notify.Close())
		<-heard
	})
	cmd := exec.Command(e.bin, "run", "--config", e.config, "--state", e.state())
	cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+socket), e.env...)
	e.process = start(t, cmd)
}

// relaunch starts the gateway again with the file that is there, and more in its environment.
func (e *edged) relaunch(t *testing.T, env ...string) *edged {
	t.Helper()
	again := &edged{dir: e.dir, bin: e.bin, config: e.config, port: e.port, tags: e.tags, env: env}
	again.exec(t)
	return again
}

// hear takes what is said to the service manager, until the socket is closed.
func (e *edged) hear(notify *net.UnixConn) {
	buf := make([]byte, 4096)
	for {
		n, err := notify.Read(buf)
		if err != nil {
			return
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			select {
			case e.readies <- struct{}{}:
			default:
			}
		}
	}
}

// ready waits for READY=1.
func (e *edged) ready(t *testing.T) {
	t.Helper()
	select {
	case <-e.readies:
	case <-e.done:
		t.Fatalf("edged ended before it was ready, exit %d:\n%s", e.cmd.ProcessState.ExitCode(), e.err.String())
	case <-time.After(20 * time.Second):
		t.Fatalf("edged is not ready after 20 s:\n%s", e.err.String())
	}
}

// again starts the same gateway anew: same configuration, state and port.
func (e *edged) again(t *testing.T, config string) *edged {
	t.Helper()
	return gateway{config: config, dir: e.dir, tags: e.tags, port: e.port}.start(t)
}

func (e *edged) state() string { return filepath.Join(e.dir, "state") }

// run runs another command of the same binary to its end.
func (e *edged) run(t *testing.T, args ...string) (stdout string, exit int) {
	t.Helper()
	cmd := exec.Command(e.bin, append(args, "--state", e.state())...)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	if errOut.Len() > 0 {
		t.Logf("edged %s: %s", strings.Join(args, " "), errOut.String())
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

// freePort returns a port of loopback that nobody listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, l.Close()) }()
	return l.Addr().(*net.TCPAddr).Port
}

func closed(t *testing.T, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

// eventually waits until is says true.
func eventually(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
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

// pause lets real time pass, where a test is about time itself.
func pause(d time.Duration) { <-time.After(d) }
