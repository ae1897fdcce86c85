// SPDX-License-Identifier: Apache-2.0

package hostile

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
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/internal/built"
)

// TestMain builds edged as it is shipped.
func TestMain(m *testing.M) { os.Exit(built.Main(m.Run, built.Tagged(""))) }

// target is a running gateway that is attacked.
type target struct {
	addr   string                           // of the listener that is attacked
	wrap   func(net.Conn) (net.Conn, error) // makes a connection to it one that MQTT can be spoken on; nil: it is
	sample int                              // of trials one in so many is tried; 0: all
	pid    int
	log    *journal
	done   chan struct{}

	over map[string]transport // the other listeners, by name
}

// journal collects what the process says.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// start runs edged with limits, lines below [broker.limits], and waits until it is ready. descriptors bounds its open
// files, 0: as they are. It is stopped in order at the end of the test, which must work.
func start(t *testing.T, limits string, descriptors uint64) *target {
	t.Helper()
	dir := t.TempDir()
	e := &target{addr: freeAddr(t), log: &journal{}, done: make(chan struct{})}
	listen := e.listenOver(t, dir)
	config := filepath.Join(dir, "edged.toml")
	text := fmt.Sprintf("[console]\nlisten = \"\"\n[broker]\nlisten = [%q, %s]\n[broker.tls]\ncert = %q\nkey = %q\n[broker.limits]\n%s",
		e.addr, listen, filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"), limits)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, notify.Close()) }()
	bin := built.Path("edged")
	cmd := exec.Command(bin, "run", "--config", config, "--state", filepath.Join(dir, "state"))
	if descriptors > 0 {
		cmd = exec.Command("/bin/sh", "-c", fmt.Sprintf("ulimit -n %d; exec \"$@\"", descriptors), "sh",
			bin, "run", "--config", config, "--state", filepath.Join(dir, "state"))
	}
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.Stderr, cmd.Stdout = e.log, e.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	e.pid = cmd.Process.Pid
	var failed error
	go func() {
		failed = cmd.Wait()
		close(e.done)
	}()
	t.Cleanup(func() {
		e.stop(t, cmd.Process)
		if failed != nil {
			t.Errorf("edged ended with %v\n%s", failed, tail(e.log.String()))
		}
	})
	e.ready(t, notify)
	return e
}

func (e *target) stop(t *testing.T, p *os.Process) {
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-e.done:
		return
	case <-time.After(10 * time.Second):
		t.Error("edged does not stop")
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	<-e.done
}

func (e *target) ready(t *testing.T, notify *net.UnixConn) {
	t.Helper()
	buf := make([]byte, 4096)
	if err := notify.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		n, err := notify.Read(buf)
		if err != nil {
			t.Fatalf("edged is not ready: %v\n%s", err, tail(e.log.String()))
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return
		}
	}
}

// alive fails the test unless the process lives and nothing in it has panicked.
func (e *target) alive(t *testing.T) {
	t.Helper()
	select {
	case <-e.done:
		t.Fatalf("edged is dead\n%s", tail(e.log.String()))
	default:
	}
	if said := e.log.String(); strings.Contains(said, "panic") {
		t.Errorf("something panicked:\n%s", tail(said[strings.Index(said, "panic"):]))
	}
}

// rss is the process's resident memory in bytes.
func (e *target) rss() int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", e.pid))
	f := strings.Fields(string(b))
	if err != nil || len(f) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(f[1])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, l.Close()) }()
	return l.Addr().String()
}

func closed(t *testing.T, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func tail(s string) string {
	const most = 4000
	if len(s) > most {
		return "…" + s[len(s)-most:]
	}
	return s
}

// pause lets real time pass, where an attack is to last.
func pause(d time.Duration) { <-time.After(d) }
