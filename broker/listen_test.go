// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/broker/listener/listenertest"
	"edged/mqtt/wire"
)

// everyWay is a site that listens in every way.
type everyWay struct {
	*site
	authority *listenertest.Authority
	dir       string
	tb        testing.TB
	addrs     map[string]string // by scheme
}

func newEveryWay(t *testing.T, change func(s *site)) *everyWay {
	t.Helper()
	w := &everyWay{tb: t, authority: listenertest.NewAuthority(t), dir: t.TempDir(), addrs: map[string]string{}}
	w.site = newSite(t, func(s *site) {
		s.cfg.Listen = []string{"127.0.0.1:0", "tls://127.0.0.1:0", "ws://127.0.0.1:0/mqtt", "wss://127.0.0.1:0/mqtt", "unix://" + w.dir + "/mqtt.sock"}
		s.cfg.TLS = w.certificates("gateway")
		if change != nil {
			change(s)
		}
	})
	for _, l := range w.Status().Listeners {
		scheme, rest, ok := strings.Cut(l, "://")
		if !ok {
			scheme, rest = "tcp", l
		}
		w.addrs[scheme] = strings.TrimSuffix(rest, "/mqtt")
	}
	return w
}

// certificates writes fresh ones.
func (w *everyWay) certificates(name string) broker.TLS {
	cert, key := w.authority.Issue(name)
	return broker.TLS{
		Cert: listenertest.Write(w.tb, w.dir, "cert.pem", cert), Key: listenertest.Write(w.tb, w.dir, "key.pem", key),
		ClientCA: listenertest.Write(w.tb, w.dir, "ca.pem", w.authority.PEM),
	}
}

// come connects a socket in one of the ways.
func (w *everyWay) come(scheme string, show ...tls.Certificate) *peer {
	w.t.Helper()
	network := "tcp"
	if scheme == "unix" {
		network = "unix"
	}
	nc, err := net.Dial(network, w.addrs[scheme])
	if err != nil {
		w.t.Fatalf("dial: %v", err)
	}
	if scheme == "tls" || scheme == "wss" {
		nc = tls.Client(nc, w.authority.Client(show...))
	}
	if scheme == "ws" || scheme == "wss" {
		nc = listenertest.NewWebSocket(w.t, nc, w.addrs[scheme])
	}
	return newPeer(w.t, nc)
}

func ways() []string { return []string{"tcp", "tls", "ws", "wss", "unix"} }

// The same is said and heard through every listener, large and small, also why a connection ends.
func TestEveryListener(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, nil)
	if len(w.addrs) != 5 {
		t.Fatalf("listeners: %q", w.Status().Listeners)
	}
	sub := w.come("tcp")
	sub.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "sub"})
	for _, way := range ways() {
		c := w.come(way)
		c.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "c"})
		c.subscribe(1, 1, "from/"+way, "to/"+way)
		sub.subscribe(1, 0, "from/"+way)
		big := strings.Repeat(way, 50000)
		for i, text := range []string{"x", big, "", big} {
			c.publish("from/"+way, text, 1, uint16(i+10))
			acked, got := false, false
			for !acked || !got {
				switch h, body, err := c.packet(patience); {
				case err != nil:
					t.Fatalf("%s: %v", way, err)
				case h>>4 == wire.Puback:
					acked = true
				case c.read(h, body).payload == text:
					got = true
				default:
					t.Fatalf("%s: another message came back", way)
				}
			}
			if m := sub.wantMessage(); m.payload != text {
				t.Fatalf("%s: %d bytes arrived, want %d", way, len(m.payload), len(text))
			}
		}
		for i := range 500 { // more than is under way at a time
			sub.publish("to/"+way, fmt.Sprint(i, strings.Repeat("-", 1000)), 0, 0)
		}
		for i := range 500 {
			if m := c.wantMessage(); !strings.HasPrefix(m.payload, fmt.Sprint(i, "-")) {
				t.Fatalf("%s: message %d is %.20q", way, i, m.payload)
			}
		}
		next := w.come(way)
		next.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "c"})
		if reason := c.wantEnd(); reason != wire.SessionTakenOver {
			t.Errorf("%s: taken over with reason 0x%02x", way, reason)
		}
		next.send([]byte{wire.Publish<<4 | 0x06, 2, 0, 0}) // QoS 3
		if reason := next.wantEnd(); reason != wire.Malformed {
			t.Errorf("%s: a malformed packet ended with 0x%02x", way, reason)
		}
		eventually(t, "it is gone", func() bool { return w.Status().Clients == 1 })
	}
}

// Handshakes that stall, in any state, lock nobody out.
func TestStalledHandshakes(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, nil)
	before := w.come("tls")
	before.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "before"})
	for i := range 400 {
		way := ways()[1+i%3]
		nc, err := net.Dial("tcp", w.addrs[way])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if i%2 == 0 {
			part := "GET /mqtt HTTP/1.1\r\nX: "
			if way != "ws" {
				part = "\x16\x03\x01\x02"
			}
			if _, err := io.WriteString(nc, part); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, way := range ways() {
		best := time.Hour
		for range 3 { // the machine may be slow for once
			start := time.Now()
			c := w.come(way)
			c.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "good"})
			best = min(best, time.Since(start))
		}
		if best > 250*time.Millisecond {
			t.Errorf("%s: a good client waited %v", way, best)
		}
	}
	before.quiet()
}

// TLS, WebSocket and CONNECT have one deadline, however slowly bytes come.
func TestSlowHandshakeEnds(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, func(s *site) { s.cfg.Limits.ConnectTimeout = 1500 * time.Millisecond }) // a handshake takes a while
	for _, way := range []string{"tls", "ws", "wss"} {
		c := w.come(way) // the handshake is done; the rest is late
		if reason := c.wantEnd(); reason != 0 {
			t.Errorf("%s: reason 0x%02x", way, reason)
		}
		nc, err := net.Dial("tcp", w.addrs[way])
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		hello := "GET /mqtt HTTP/1.1\r\nX: " + strings.Repeat("x", 4000)
		if way != "ws" {
			hello = "\x16\x03\x01\x02\x00" + strings.Repeat("\x01", 4000)
		}
		start := time.Now()
		for i := 0; ; i++ {
			<-tick.C
			if _, err := nc.Write([]byte{hello[i]}); err != nil {
				break
			}
			if time.Since(start) > patience {
				t.Fatalf("%s: one byte after the other kept the connection", way)
			}
		}
	}
	if n := w.Status().Limits["connect_timeout"]; n < 3 {
		t.Errorf("%d are counted", n)
	}
}

func TestReloadOfCertificates(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, nil)
	old := w.come("tls")
	old.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "old"})
	serial := func(c *peer) string {
		return c.nc.(*tls.Conn).ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial(old)
	cfg := w.cfg
	cfg.TLS = w.certificates("gateway")
	if err := w.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	fresh := w.come("tls")
	fresh.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "fresh"})
	after := serial(fresh)
	if after == before {
		t.Error("a new connection sees the old certificate")
	}
	old.quiet()

	listenertest.Write(t, w.dir, "key.pem", []byte("spoilt"))
	if err := w.Reload(cfg); err == nil || !strings.Contains(err.Error(), "key.pem") || !strings.Contains(err.Error(), "(E411)") {
		t.Errorf("a spoilt key: %v", err)
	}
	last := w.come("wss")
	last.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "last"})
	last.quiet()
	old.quiet()
	b, err := broker.Open(cfg, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Listen(t.Context()); err == nil || !strings.Contains(err.Error(), "key.pem") || len(b.Addrs()) > 0 {
		t.Errorf("a start with a spoilt key: %v, %v", err, b.Addrs())
	}
}

// A certificate is who the client is; mosquitto's clients show it.
func TestMosquittoOverTLSAndUnix(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, func(s *site) {
		s.cfg.Anonymous = false
		s.cfg.Users = map[string]broker.User{"plc": {Cert: "CN=plc-7", ClientIDs: []string{"*"}, Publish: []string{"plc/#"}, Subscribe: []string{"plc/#"}}}
	})
	cert, key := w.authority.Issue("plc-7")
	_, port, err := net.SplitHostPort(w.addrs["tls"])
	if err != nil {
		t.Fatal(err)
	}
	secure := []string{"-h", "localhost", "-p", port, "--cafile", filepath.Join(w.dir, "ca.pem")}
	shown := append(secure, "--cert", listenertest.Write(t, w.dir, "c.pem", cert), "--key", listenertest.Write(t, w.dir, "c.key", key))
	run := func(name string, args ...string) (string, error) {
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		return string(out), err
	}
	if out, err := run("mosquitto_pub", append(shown, "-q", "1", "-r", "-t", "plc/x", "-m", "hello")...); err != nil {
		t.Errorf("with the certificate: %v %s", err, out)
	}
	if out, err := run("mosquitto_sub", append(shown, "-V", "5", "-t", "plc/#", "-C", "1", "-W", "10")...); err != nil || out != "hello\n" {
		t.Errorf("reading with the certificate: %v %q", err, out)
	}
	if out, err := run("mosquitto_pub", append(secure, "-t", "plc/x", "-m", "y")...); err == nil {
		t.Errorf("without a certificate: %s", out)
	}
	if os.Getuid() == 0 { // root, and our own user, may do all over a socket of this machine
		out, err := run("mosquitto_sub", "--unix", w.addrs["unix"], "-t", "plc/#", "-C", "1", "-W", "10")
		if err != nil || out != "hello\n" {
			t.Errorf("over the Unix socket: %v %q", err, out)
		}
	}
}

// A CONNECT beyond the limit costs nothing, and MQTT 5 has a word for it.
func TestConnectThatIsTooLarge(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, nil)
	for _, way := range ways() {
		c := w.come(way)
		p := wire.ConnectPacket{Level: 5, Clean: true, ClientID: "big", Will: will("w", strings.Repeat("x", 60000), 0, false)}
		c.connect(p)
		c.disconnect()
		p.HasUser, p.User = true, strings.Repeat("u", 10000)
		c = w.come(way)
		if ack := c.connect(p); ack.Code != wire.TooLarge {
			t.Errorf("%s: code 0x%02x", way, ack.Code)
		}
		c = w.come(way)
		p.Level = 4
		c.nc.Write(wire.AppendConnect(nil, &p)) //nolint:errcheck // it may be cut off
		if h, _, err := c.packet(patience); !isEnd(err) {
			t.Errorf("%s: 3.1.1 got packet type %d, %v", way, h>>4, err)
		}
	}
}

// A client that reads nothing, over TLS or WebSockets, holds up nobody, and is parted from at once when it has to be.
func TestDeafClientHoldsUpNobody(t *testing.T) {
	t.Parallel()
	w := newEveryWay(t, nil)
	for _, way := range []string{"tls", "ws", "wss"} {
		deaf := w.come(way)
		deaf.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "deaf"})
		deaf.subscribe(1, 0, "flood")
		pub := w.clean("pub")
		for i := range 300 {
			pub.publish("flood", strings.Repeat("x", 100<<10), 0, 0)
			if i%50 == 0 {
				pub.quiet()
			}
		}
		pub.quiet()
		start := time.Now()
		next := w.come(way)
		next.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "deaf"})
		next.quiet()
		if took := time.Since(start); took > 3*time.Second {
			t.Errorf("%s: taking over took %v", way, took)
		}
		next.disconnect()
		pub.disconnect()
		eventually(t, "all are gone", func() bool { return w.Status().Clients == 0 })
	}
}

// An idle client over a WebSocket in TLS costs little.
func TestMemoryOfIdleConnections(t *testing.T) {
	w := newEveryWay(t, nil)
	for _, way := range []string{"tcp", "tls", "ws", "wss"} {
		const n = 50
		used := func() uint64 {
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return m.HeapAlloc + m.StackInuse
		}
		var peers []*peer
		before := used()
		for range n {
			c := w.come(way)
			c.connect(wire.ConnectPacket{Level: 4, Clean: true})
			peers = append(peers, c)
		}
		each := (int64(used()) - int64(before)) / n
		t.Logf("%s: %d bytes each, with the client's side in this process", way, each)
		if each > 2*64<<10 {
			t.Errorf("%s: %d KiB for an idle client and the broker's side", way, each>>10)
		}
		for _, c := range peers {
			c.drop()
		}
		eventually(t, "all are gone", func() bool { return w.Status().Clients == 0 })
	}
}
