// SPDX-License-Identifier: Apache-2.0

// Package fleet runs edged against clusters that others wrote, as the cloud of many gateways. It is a module of its own, so
// that what they need is no dependency of edged.
package fleet_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/internal/built"
)

const (
	// fullVariable names the one that asks for the whole campaign: RabbitMQ too, and up to 1,000 gateways.
	fullVariable = "EDGED_FLEET_FULL"
)

func full() bool { return os.Getenv(fullVariable) != "" }

// TestMain builds edged and the server of the cluster.
func TestMain(m *testing.M) {
	os.Exit(built.Main(m.Run,
		built.Program{Name: "edged", In: "../..", Source: built.Edged},
		built.Program{Name: "node", Source: "./node"}))
}

// process is a child that is killed at the end of the test.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	said bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		_ = cmd.Wait() // how it ended says ProcessState
		close(p.done)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() {
			text := p.text()
			t.Logf("%s said:\n%s", filepath.Base(cmd.Path), text[max(0, len(text)-3000):])
		}
	})
	return p
}

// kill is kill -9 of the process and its children.
func (p *process) kill() {
	select {
	case <-p.done:
	default:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // it may have ended by itself
		<-p.done
	}
}

// ports returns as many ports of loopback that nobody listens on.
func ports(t *testing.T, n int) []int {
	t.Helper()
	var all []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}()
		all = append(all, l.Addr().(*net.TCPAddr).Port)
	}
	return all
}

// eventually waits until is says true.
func eventually(t *testing.T, d time.Duration, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(d); !is(); {
		if <-tick.C; time.Now().After(end) {
			t.Fatalf("after %v still not: %s", d, what)
		}
	}
}

// pause lets real time pass, where that is what is waited for.
func pause(d time.Duration) { <-time.After(d) }

// cluster is three servers; each has a port for MQTT.
type cluster struct {
	mqtt  []int
	nodes []*process
}

// urls are all servers, as the configuration of a gateway names them.
func (c *cluster) urls() string {
	var all []string
	for _, port := range c.mqtt {
		all = append(all, fmt.Sprintf("%q", address(port)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

func address(port int) string { return fmt.Sprintf("mqtt://127.0.0.1:%d", port) }

// serving returns which server has that address.
func (c *cluster) serving(t *testing.T, server string) int {
	t.Helper()
	i := slices.IndexFunc(c.mqtt, func(port int) bool { return address(port) == server })
	if i < 0 {
		t.Fatalf("%q is no server of the cluster", server)
	}
	return i
}
