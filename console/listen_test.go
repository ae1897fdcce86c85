// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"edged/broker/listener/listenertest"
)

// running is a console that listens.
type running struct {
	*Console
	stop func()
}

// run opens a console on a free port of loopback and ends it with the test.
func run(t *testing.T, listen string, deps Deps) *running {
	t.Helper()
	return begin(t, New(Config{Listen: listen}, deps))
}

func begin(t *testing.T, c *Console) *running {
	t.Helper()
	c.retry = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	var stopped atomic.Bool
	stop := func() {
		if stopped.Swap(true) {
			return
		}
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(10 * time.Second):
			t.Error("the console does not stop")
		}
	}
	t.Cleanup(stop)
	return &running{c, stop}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// at waits until the console listens, and returns where.
func (r *running) at(t *testing.T) string {
	t.Helper()
	eventually(t, "the console opens", func() bool { return r.URL() != "" })
	_, at, _ := strings.Cut(r.URL(), "://")
	return at
}

func listen(t *testing.T, at string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) //nolint:errcheck // it may be closed already
	return l
}

func TestPortThatIsTakenIsToldOnceAndTriedAgain(t *testing.T) {
	busy := listen(t, "127.0.0.1:0")
	at := busy.Addr().String()
	g := &gateway{}
	c := run(t, at, g.deps())
	told := <-g.troubles
	if told.Code != "E401" || !strings.Contains(told.Text, at) || told.Do == "" {
		t.Errorf("the trouble is %+v", told)
	}
	select { // some tries long
	case again := <-g.troubles:
		t.Errorf("the same is told again: %+v", again)
	case <-time.After(20 * c.retry):
	}
	if now, there := c.Trouble(); !there || now != told || c.URL() != "" {
		t.Errorf("the status is %+v %v at %q", now, there, c.URL())
	}
	if err := busy.Close(); err != nil {
		t.Fatal(err)
	}
	if got := c.at(t); got != at {
		t.Errorf("the console is at %s, not at %s", got, at)
	}
	if _, there := c.Trouble(); there || len(g.troubles) > 0 {
		t.Errorf("a trouble that is over is told, %d more times", len(g.troubles))
	}
}

func TestAddressThatThisMachineHasNot(t *testing.T) {
	g := &gateway{}
	deps := g.deps()
	deps.Certificate = func() (tls.Certificate, error) { return tls.Certificate{}, nil }
	run(t, "192.0.2.7:0", deps)
	if told := <-g.troubles; told.Code != "E412" {
		t.Errorf("the trouble is %+v", told)
	}
}

func TestOffLoopbackIsHTTPSWithALogin(t *testing.T) {
	g := &gateway{}
	deps := g.deps()
	authority := listenertest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	var broken atomic.Bool
	broken.Store(true)
	deps.Certificate = func() (tls.Certificate, error) {
		if broken.Load() {
			return tls.Certificate{}, errors.New("no such file")
		}
		return tls.X509KeyPair(cert, key)
	}
	c := run(t, "0.0.0.0:0", deps)
	if told := <-g.troubles; told.Code != "E411" || !strings.Contains(told.Text, "no such file") {
		t.Errorf("the trouble is %+v", told)
	}
	broken.Store(false)
	_, port, err := net.SplitHostPort(c.at(t))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: authority.Client(), DisableKeepAlives: true}}
	for _, try := range []struct {
		scheme, user string
		code         int
	}{{"http", "anna", 400}, {"https", "", 401}, {"https", "anna", 200}} {
		r, err := http.NewRequest("GET", try.scheme+"://127.0.0.1:"+port+"/healthz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if try.user != "" {
			r.SetBasicAuth(try.user, "right")
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatalf("%+v: %v", try, err)
		}
		body, err := io.ReadAll(answer.Body)
		if err = errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != try.code {
			t.Errorf("%+v: %d %s, %v", try, answer.StatusCode, body, err)
		}
	}
}

// dialed is a connection that the test closes at its end.
func dialed(t *testing.T, at string) net.Conn {
	t.Helper()
	nc, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() }) //nolint:errcheck // the console may have closed it
	return nc
}

// get asks over a connection that stays open.
func get(t *testing.T, nc net.Conn) {
	t.Helper()
	if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	if n, err := nc.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "HTTP/1.1 200") {
		t.Fatalf("the answer is %q, %v", buf[:n], err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	g := &gateway{}
	at := run(t, "127.0.0.1:0", g.deps()).at(t)
	var all []net.Conn
	for range mostConns {
		nc := dialed(t, at)
		get(t, nc)
		all = append(all, nc)
	}
	late := dialed(t, at)
	if _, err := io.WriteString(late, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := late.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var one [1]byte
	if _, err := late.Read(one[:]); err == nil {
		t.Errorf("connection %d is answered", mostConns+1)
	}
	if err := all[0].Close(); err != nil {
		t.Fatal(err)
	}
	if err := late.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := late.Read(one[:]); err != nil {
		t.Errorf("the place that became free is not used: %v", err)
	}
}

func TestLongHeaderIsRefused(t *testing.T) {
	g := &gateway{}
	nc := dialed(t, run(t, "127.0.0.1:0", g.deps()).at(t))
	if _, err := fmt.Fprintf(nc, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: %s\r\n\r\n", strings.Repeat("x", 64<<10)); err != nil {
		t.Logf("the connection was closed while the header was sent: %v", err)
		return
	}
	answer, err := io.ReadAll(nc)
	if err == nil && !strings.HasPrefix(string(answer), "HTTP/1.1 431") {
		t.Errorf("the answer to a long header is %q", answer)
	}
}

// A stop waits for no client, and leaves nothing that runs.
func TestStopLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	g := &gateway{}
	c := run(t, "127.0.0.1:0", g.deps())
	at := c.at(t)
	silent := dialed(t, at)
	idle := dialed(t, at)
	get(t, idle)
	half := dialed(t, at)
	if _, err := io.WriteString(half, "GET /healthz HTTP/1.1\r\nHost: local"); err != nil {
		t.Fatal(err)
	}
	c.stop()
	for name, nc := range map[string]net.Conn{"silent": silent, "idle": idle, "half": half} {
		if err := nc.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(nc); err == nil && len(rest) > 0 && !strings.HasPrefix(string(rest), "HTTP/1.1 ") {
			t.Errorf("%s: the connection gives %q", name, rest)
		}
	}
	if c.URL() != "" {
		t.Errorf("a console that has ended is at %s", c.URL())
	}
	listen(t, at)
	eventually(t, "every goroutine ends", func() bool { return runtime.NumGoroutine() <= before })
}

// The way to a cloud may take longer than any other answer, and the one who asks second is told.
func TestALookIntoTheCloudMayTakeLong(t *testing.T) {
	deps := (&gateway{}).deps()
	looking, end := make(chan bool, 1), make(chan bool)
	deps.Doctor = func(ctx context.Context) (any, error) {
		looking <- true
		select {
		case <-end:
			return map[string]bool{"ok": true}, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c := New(Config{Listen: "127.0.0.1:0"}, deps)
	c.answerIn = 200 * time.Millisecond
	r := begin(t, c)
	post := func() (int, error) {
		answer, err := http.Post("http://"+r.at(t)+doctorPath, "", nil)
		if err != nil {
			return 0, err
		}
		return answer.StatusCode, answer.Body.Close()
	}
	first := make(chan error, 1)
	go func() {
		code, err := post()
		if err == nil && code != 200 {
			err = fmt.Errorf("the answer is %d", code)
		}
		first <- err
	}()
	<-looking
	if code, err := post(); err != nil || code != http.StatusConflict {
		t.Errorf("a second one is answered %d, %v", code, err)
	}
	<-time.After(time.Second)
	close(end)
	if err := <-first; err != nil {
		t.Errorf("a look that takes a second, where others may take 0.2 s: %v", err)
	}
}
