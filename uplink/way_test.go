// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt"
	"edged/uplink"
)

// proxyServer leads on whoever asks by CONNECT, to the loopback whatever the name, where the login is right.
type proxyServer struct {
	l      net.Listener
	login  string // what Proxy-Authorization must be; "": nothing
	answer string // what everybody gets instead; "": the way
	wg     sync.WaitGroup

	mu    sync.Mutex
	asked []string
}

func newProxy(t *testing.T, login, answer string) *proxyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxyServer{l: l, login: login, answer: answer}
	p.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(nc) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.wg.Wait()
	})
	return p
}

func (p *proxyServer) serve(nc net.Conn) {
	defer nc.Close()
	r := bufio.NewReader(nc)
	req, err := http.ReadRequest(r)
	if err != nil {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, req.Method+" "+req.RequestURI)
	p.mu.Unlock()
	switch {
	case p.answer != "":
		io.WriteString(nc, p.answer)
		return
	case req.Header.Get("Proxy-Authorization") != p.login:
		io.WriteString(nc, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n")
		return
	}
	_, port, err := net.SplitHostPort(req.RequestURI)
	if err != nil {
		return
	}
	far, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		io.WriteString(nc, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
		return
	}
	defer far.Close()
	io.WriteString(nc, "HTTP/1.1 200 Connection established\r\n\r\n")
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(nc, far)
		nc.Close()
	})
	io.Copy(far, r)
	far.Close()
	back.Wait()
}

func (p *proxyServer) address() string { return "http://" + p.l.Addr().String() }

// portOf is the port of an address.
func portOf(t *testing.T, address string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// webMosquitto is one that also speaks WebSocket, at an address of its own. Without the plain listener mosquitto 2.0.11
// does not start.
func webMosquitto(t *testing.T, extra ...string) (m *mosquitto, web string) {
	t.Helper()
	web = freePort(t)
	m = newMosquitto(t, append([]string{"allow_anonymous true", "listener " + portOf(t, web) + " 127.0.0.1", "protocol websockets"}, extra...)...)
	eventually(t, soon, "mosquitto listens for WebSockets", func() bool {
		nc, err := net.Dial("tcp", web)
		return err == nil && nc.Close() == nil
	})
	return m, web
}

// firstTry runs an uplink until its first try is over.
func firstTry(t *testing.T, cfg uplink.Config, change func(*uplink.Deps)) uplink.Status {
	t.Helper()
	u, stop := startReal(t, cfg, ourBroker(t), change)
	defer stop()
	var s uplink.Status
	eventually(t, soon, "the first try is over", func() bool {
		s = u.Status()
		return s.State != uplink.Off && (s.State != uplink.Down || s.Text != "connecting for the first time")
	})
	return s
}

func TestWays(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	now := time.Now()
	plain := newMosquitto(t)
	cert, key := ca.issue(t, "cloud.test", now.Add(-time.Hour), now.Add(time.Hour))
	_, ws := webMosquitto(t)
	_, wss := webMosquitto(t, "cafile "+ca.file, "certfile "+cert, "keyfile "+key)
	tls := ca.listener(t, "cloud.test", now.Add(-time.Hour), now.Add(time.Hour))
	open, guarded := newProxy(t, "", ""), newProxy(t, "Basic "+"bWU6Z2VoZWlt", "") // me:geheim
	at := func(scheme, address string) string { return scheme + "://cloud.test:" + portOf(t, address) }
	portal := answerAll(t, "HTTP/1.1 302 Found\r\nLocation: http://login.portal.test/\r\nContent-Length: 0\r\n\r\n")
	type setting = func(*uplink.Config)
	trust := func(c *uplink.Config) { c.CA = ca.file }
	through := func(p *proxyServer) setting {
		return func(c *uplink.Config) { c.Proxy, c.CA = p.address(), ca.file }
	}
	secretly := func(s string) setting {
		return func(c *uplink.Config) {
			c.CA, c.ProxySecret = ca.file, func() ([]byte, error) { return []byte(s), nil }
		}
	}
	for _, c := range []struct {
		name  string
		url   string
		set   setting
		state string
		code  string
		text  string // part of it
	}{
		{"ws", at("ws", ws), nil, uplink.Up, "", ""},
		{"wss", at("wss", wss), trust, uplink.Up, "", ""},
		{"wss whose CA we do not trust", at("wss", wss), func(c *uplink.Config) { c.CA = other.file }, uplink.Down, "E303", "uplink.ca"},
		{"ws to a portal", at("ws", portal), nil, uplink.Down, "E305", "http://login.portal.test/"},
		{"ws to an MQTT port", at("ws", plain.address), nil, uplink.Down, "", "speak with ws://"},
		{"mqtt to a WebSocket port", at("mqtt", ws), nil, uplink.Down, "E305", "ws://"},
		{"wss to a plain port", at("wss", ws), trust, uplink.Down, "E305", "write ws://"},
		{"ws to a TLS port", at("ws", wss), nil, uplink.Down, "E305", "write wss://"},
		{"alpn", at("mqtts", tls.address), func(c *uplink.Config) { c.CA, c.ALPN = ca.file, "mqtt" }, uplink.Up, "", ""},
		{"plain through a proxy", at("mqtt", plain.address), func(c *uplink.Config) { c.Proxy = open.address() }, uplink.Up, "", ""},
		{"TLS through a proxy", at("mqtts", tls.address), through(open), uplink.Up, "", ""},
		{"wss through a proxy with a login", at("wss", wss), secretly("http://me:geheim@" + guarded.l.Addr().String()), uplink.Up, "", ""},
		{"a proxy that wants a login", at("mqtts", tls.address), through(guarded), uplink.Down, "E308", "user and password"},
		{"a wrong login", at("mqtts", tls.address), secretly("http://me:falsch@" + guarded.l.Addr().String()), uplink.Down, "E308", "user and password"},
		{"a proxy that does not reach it", "mqtts://cloud.test:1", through(open), uplink.Down, "E308", "does not reach cloud.test port 1"},
		{"a proxy that refuses", at("mqtts", tls.address), through(newProxy(t, "", "HTTP/1.1 403 Forbidden\r\n\r\n")), uplink.Down, "E308", "does not allow"},
		{"a proxy that is none", at("mqtts", tls.address), through(newProxy(t, "", "220 mail.test ESMTP\r\n")), uplink.Down, "E308", "like an HTTP proxy"},
		{"no proxy there", at("mqtts", tls.address), func(c *uplink.Config) { c.Proxy, c.CA = "http://"+freePort(t), ca.file }, uplink.Down, "E307", "the proxy 127.0.0.1"},
		{"a certificate of another behind the proxy", "mqtts://other.test:" + portOf(t, tls.address), through(open), uplink.Down, "E304", "another host"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			cfg.URLs, cfg.ClientID = []string{c.url}, strings.ReplaceAll(c.name, " ", "-")
			if c.set != nil {
				c.set(&cfg)
			}
			s := firstTry(t, cfg, nil)
			if s.State != c.state || s.Code != c.code || !strings.Contains(s.Text, c.text) || strings.Contains(s.Text, "geheim") {
				t.Errorf("state %s, code %q, text %q; want %s, %q, …%s…", s.State, s.Code, s.Text, c.state, c.code, c.text)
			}
		})
	}
	t.Run("the proxy finds the name", func(t *testing.T) {
		t.Parallel()
		p := newProxy(t, "", "")
		cfg := config()
		cfg.URLs, cfg.ClientID, cfg.Proxy = []string{at("mqtt", plain.address)}, "named", p.address()
		s := firstTry(t, cfg, func(d *uplink.Deps) { d.Resolve = failing })
		p.mu.Lock()
		defer p.mu.Unlock()
		if want := "CONNECT cloud.test:" + portOf(t, plain.address); s.State != uplink.Up || len(p.asked) != 1 || p.asked[0] != want {
			t.Errorf("state %s, the proxy was asked %q, want %q", s.State, p.asked, want)
		}
	})
}

func TestLargeMessagesInAWebSocket(t *testing.T) {
	t.Parallel()
	cloud, web := webMosquitto(t)
	far := newConsumer(t, cloud.address, "edged/gw/dev/+/data")
	cfg := config()
	cfg.URLs = []string{"ws://" + web}
	b := ourBroker(t)
	u, _ := startReal(t, cfg, b, nil)
	eventually(t, soon, "the link is up", func() bool { return u.Status().State == uplink.Up })
	d := device(t, b, "dev", nil)
	want := []string{strings.Repeat("x", 200_000), "y", strings.Repeat("z", 70_000)}
	for _, payload := range want {
		p, err := d.Publish(t.Context(), mqtt.Message{Topic: dataA, Payload: []byte(payload), QoS: 1})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
	}
	eventually(t, soon, "all has arrived", func() bool { return len(far.on(dataA)) == len(want) })
	if got := far.on(dataA); !slices.Equal(got, want) {
		t.Errorf("what arrived is not what was sent")
	}
	orders := make(chan string, 1)
	e := device(t, b, "dev2", func(d *mqtt.Delivery) { orders <- string(d.Payload) })
	if _, err := e.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: setA, QoS: 1}); err != nil {
		t.Fatal(err)
	}
	order := `{"x":"` + strings.Repeat("o", 100_000) + `"}`
	if _, err := far.c.Publish(t.Context(), mqtt.Message{Topic: setA, Payload: []byte(order), QoS: 1}); err != nil {
		t.Fatal(err)
	}
	if got := <-orders; got != order {
		t.Errorf("the order of %d bytes came as %d", len(order), len(got))
	}
}

func failing(context.Context, string, string) ([]netip.Addr, error) {
	return nil, errors.New("SERVFAIL")
}
