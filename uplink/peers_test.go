// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/uplink"
)

// eventually waits until done says so.
func eventually(t *testing.T, within time.Duration, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.NewTimer(within)
	defer late.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-late.C:
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

const soon = 20 * time.Second // what takes a moment on a machine that has time

// mosquitto is an independent broker as the cloud, on one port of the loopback.
type mosquitto struct {
	address string
	file    string
	cmd     *exec.Cmd
	said    *logged
}

type logged struct {
	mu   sync.Mutex
	text []byte
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, b...)
	return len(b), nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// newMosquitto starts one that keeps its state over a stop; extra are lines of its configuration.
func newMosquitto(t *testing.T, extra ...string) *mosquitto {
	t.Helper()
	dir := t.TempDir()
	m := &mosquitto{address: freePort(t), file: filepath.Join(dir, "mosquitto.conf"), said: &logged{}}
	_, port, err := net.SplitHostPort(m.address)
	if err != nil {
		t.Fatal(err)
	}
	if len(extra) == 0 {
		extra = []string{"allow_anonymous true"}
	}
	text := fmt.Sprintf("user root\nlistener %s 127.0.0.1\npersistence true\npersistence_location %s/\nmax_queued_messages 0\nmax_inflight_messages 0\n%s\n",
		port, dir, strings.Join(extra, "\n"))
	if err := os.WriteFile(m.file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	t.Cleanup(func() {
		m.stop(t)
		if t.Failed() {
			t.Logf("mosquitto said:\n%s", m.said.text)
		}
	})
	return m
}

func (m *mosquitto) start(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto" // not in everybody's PATH
	}
	m.cmd = exec.Command(path, "-v", "-c", m.file)
	m.cmd.Stderr, m.cmd.Stdout = m.said, m.said
	if err := m.cmd.Start(); err != nil {
		t.Fatalf("mosquitto is needed (apt-get install mosquitto): %v", err)
	}
	eventually(t, soon, "mosquitto listens", func() bool {
		nc, err := net.Dial("tcp", m.address)
		return err == nil && nc.Close() == nil
	})
}

func (m *mosquitto) stop(t *testing.T) {
	t.Helper()
	if m.cmd == nil {
		return
	}
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Errorf("stop mosquitto: %v", err)
	}
	if err := m.cmd.Wait(); err != nil {
		t.Errorf("mosquitto ended: %v", err)
	}
	m.cmd = nil
}

// ourBroker runs the gateway's broker without listeners.
func ourBroker(t *testing.T) *broker.Broker {
	t.Helper()
	cfg := broker.Defaults()
	cfg.Listen = nil
	b, err := broker.Open(cfg, "state", nil, broker.Options{FS: journaltest.New()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the broker's Run: %v", err)
		}
	})
	return b
}

// startReal runs an uplink between the gateway's broker and cfg's cloud until the function it returns is called, or the
// test ends. Every name leads to the loopback.
func startReal(t *testing.T, cfg uplink.Config, b *broker.Broker, change func(*uplink.Deps)) (*uplink.Uplink, func()) {
	t.Helper()
	publish, subscribe := uplink.Rights("gw", cfg)
	deps := uplink.Deps{
		Gateway: "gw",
		DialLocal: func() (net.Conn, error) {
			return b.Dial(broker.Identity{ClientID: uplink.ClientID, Publish: publish, Subscribe: subscribe})
		},
		Resolve: func(_ context.Context, network, _ string) ([]netip.Addr, error) {
			if network != "ip4" {
				return nil, nil
			}
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		},
	}
	if change != nil {
		change(&deps)
	}
	u, err := uplink.New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := u.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	stop := func() {
		cancel()
		<-ended
	}
	t.Cleanup(stop)
	return u, stop
}

// relay stands between the uplink and the cloud and can be cut or frozen.
type relay struct {
	l  net.Listener
	to string

	mu    sync.Mutex
	pairs []net.Conn
	gate  chan struct{} // closed: bytes pass
	wg    sync.WaitGroup
}

func newRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{l: l, to: to, gate: make(chan struct{})}
	close(r.gate)
	r.wg.Go(r.accept)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		r.thaw()
		r.cut()
		r.wg.Wait()
	})
	return r
}

func (r *relay) accept() {
	for {
		in, err := r.l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			in.Close()
			continue
		}
		r.mu.Lock()
		r.pairs = append(r.pairs, in, out)
		r.mu.Unlock()
		r.wg.Go(func() { r.pass(in, out) })
		r.wg.Go(func() { r.pass(out, in) })
	}
}

func (r *relay) pass(from, to net.Conn) {
	defer to.Close()
	buf := make([]byte, 4096)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		r.mu.Lock()
		gate := r.gate
		r.mu.Unlock()
		<-gate
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// cut ends every connection.
func (r *relay) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.pairs {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0) // at once, with RST
		}
		c.Close()
	}
	r.pairs = nil
}

// freeze lets nothing pass any more, and nobody know.
func (r *relay) freeze() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = make(chan struct{})
}

func (r *relay) thaw() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.gate:
	default:
		close(r.gate)
	}
}

// answerAll accepts connections and says the same to each.
func answerAll(t *testing.T, answer string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := nc.Read(make([]byte, 1024)); err == nil {
				_, err = io.WriteString(nc, answer)
				if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
					t.Error(err)
				}
			}
			nc.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}
