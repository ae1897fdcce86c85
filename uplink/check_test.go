// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
	"edged/uplink"
)

func loopback(_ context.Context, network, _ string) ([]netip.Addr, error) {
	if network == "ip4" {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	now := time.Now()
	cert, key := ca.issue(t, "cloud.test", now.Add(-time.Hour), now.Add(time.Hour))
	plain, web := webMosquitto(t, "cafile "+ca.file, "certfile "+cert, "keyfile "+key)
	proxy := newProxy(t, "", "")
	for _, c := range []struct {
		name string
		set  func(*uplink.Config)
		want string // steps that worked, and the one that did not with its code
	}{
		{"the longest way", func(c *uplink.Config) {
			c.URLs, c.CA, c.Proxy = []string{"wss://cloud.test:" + portOf(t, web)}, ca.file, proxy.address()
		}, "tcp proxy tls websocket mqtt round trip"},
		{"plain", func(c *uplink.Config) { c.URLs = []string{"mqtt://cloud.test:" + portOf(t, plain.address)} }, "resolve tcp mqtt round trip"},
		{"no address", func(c *uplink.Config) { c.URLs = []string{"mqtt://127.0.0.1:" + portOf(t, freePort(t))} }, "!tcp E307"},
		{"nobody whom we trust", func(c *uplink.Config) { c.URLs = []string{"wss://cloud.test:" + portOf(t, web)} }, "resolve tcp !tls E303"},
		{"the wrong path", func(c *uplink.Config) {
			c.URLs, c.CA = []string{"wss://cloud.test:" + portOf(t, answerAll(t, "HTTP/1.1 404 Not Found\r\n\r\n"))}, ca.file
		}, "resolve tcp !tls E305"},
		{"two addresses", func(c *uplink.Config) {
			c.URLs = []string{"mqtt://127.0.0.1:" + portOf(t, freePort(t)), "mqtt://cloud.test:" + portOf(t, plain.address)}
		}, "!tcp E307 resolve tcp mqtt round trip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cfg := config()
			c.set(&cfg)
			var got []string
			as := uplink.Guest{ClientID: c.name, Beside: true} // two with the same one would take each other over
			_, err := uplink.Check(t.Context(), cfg, uplink.Deps{Gateway: "gw", Resolve: loopback}, as, func(f uplink.Finding) {
				if !f.OK {
					f.Step = "!" + f.Step + " " + f.Code
				}
				got = append(got, f.Step)
			})
			if text := strings.Join(got, " "); err != nil || text != c.want {
				t.Errorf("steps %q, %v, want %q", text, err, c.want)
			}
		})
	}
}

// What a server owes to the session that is tried stays owed, and the session stays.
func TestCheckTakesNothing(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{4, 5} {
		cloud := newMosquitto(t)
		cfg := config()
		cfg.URLs, cfg.Version = []string{"mqtt://" + cloud.address}, version
		b := ourBroker(t)
		orders := make(chan string, 2)
		d := device(t, b, "dev", func(d *mqtt.Delivery) { orders <- string(d.Payload) })
		if _, err := d.Subscribe(t.Context(), 0, mqtt.Subscription{Filter: setA, QoS: 1}); err != nil {
			t.Fatal(err)
		}
		u, stop := startReal(t, cfg, b, nil)
		eventually(t, soon, "the link is up", func() bool { return u.Status().State == uplink.Up })
		far := newConsumer(t, cloud.address, "edged/gw/status")
		eventually(t, soon, "the cloud knows the session", func() bool { return slices.Contains(far.on(status), "online") })
		stop()
		p, err := far.c.Publish(t.Context(), mqtt.Message{Topic: setA, Payload: []byte("x"), QoS: 1})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Done()
		before := len(far.on(status))
		reached, err := uplink.Check(t.Context(), cfg, uplink.Deps{Gateway: "gw"}, uplink.Guest{ClientID: "gw"}, func(uplink.Finding) {})
		if err != nil || reached != 1 {
			t.Fatalf("version %d: reached %d, %v", version, reached, err)
		}
		u, stop = startReal(t, cfg, b, nil)
		select {
		case got := <-orders:
			if got != "x" {
				t.Errorf("version %d: the order is %q", version, got)
			}
		case <-time.After(soon):
			t.Errorf("version %d: the order that waited is gone", version)
		}
		eventually(t, soon, "online again", func() bool { return len(far.on(status)) > before })
		if got := far.on(status)[before:]; got[0] != "online" || !u.Status().SessionPresent {
			t.Errorf("version %d: statuses after the check %q, session present %t", version, got, u.Status().SessionPresent)
		}
		stop()
	}
}

// A server that lets no second client id in is no fault beside a session that lives, and is one without it.
func TestCheckBesideALiveSession(t *testing.T) {
	t.Parallel()
	cfg := config()
	for code, want := range map[byte]string{2: "E314", 5: "E312"} {
		cfg.URLs = []string{"mqtt://" + answerAll(t, "\x20\x02\x00"+string(code))}
		for _, beside := range []bool{false, true} {
			var last uplink.Finding
			reached, err := uplink.Check(t.Context(), cfg, uplink.Deps{Gateway: "gw"}, uplink.Guest{ClientID: "gw-doctor", Beside: beside}, func(f uplink.Finding) { last = f })
			if err != nil || (reached == 1) != beside || last.OK != beside || !beside && last.Code != want || beside && !strings.Contains(last.Text, "no second client") {
				t.Errorf("CONNACK %d, beside %t: reached %d, %v, %+v", code, beside, reached, err, last)
			}
		}
	}
}

// A cloud that falls silent after TCP is given up with a reason.
func TestCheckOfAFrozenServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		dial := func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, ours)
			t.Cleanup(func() { ours.Close() })
			return theirs, nil
		}
		for _, c := range []struct{ url, step, text string }{
			{"mqtt://192.0.2.1", "mqtt", "no answer to CONNECT in 10s"},
			{"mqtts://192.0.2.1", "tls", "no answer to TLS in 10s"},
			{"ws://192.0.2.1", "websocket", "no answer in 10s"},
		} {
			cfg.URLs = []string{c.url}
			began := time.Now()
			var last uplink.Finding
			reached, err := uplink.Check(t.Context(), cfg, uplink.Deps{Gateway: "gw", Dial: dial}, uplink.Guest{ClientID: "gw"}, func(f uplink.Finding) { last = f })
			if err != nil || reached != 0 || last.Step != c.step || !strings.Contains(last.Text+last.Cause, c.text) || time.Since(began) > 11*time.Second {
				t.Errorf("%s: reached %d, %v, %+v after %v", c.url, reached, err, last, time.Since(began))
			}
		}
	})
}
