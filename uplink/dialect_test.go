// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// limits are what a strict cloud holds everybody to; 0 is none.
type limits struct {
	payload, topic, slashes, filters, rate int
	topics                                 []string // what a topic may begin with; nil: everything
	noRetain                               bool
	connect                                func(*wire.ConnectPacket) error
	sent                                   []time.Time
}

// judge is cloud.strict.
func (l *limits) judge(h byte, body, raw []byte) error {
	switch h >> 4 {
	case wire.Connect:
		l.sent = nil
		p, f := wire.DecodeConnect(h, body)
		if f != nil {
			return f
		}
		if l.noRetain && p.Will.Retain || p.Will.QoS > 1 || !l.allows(p.Will.Topic) {
			return fmt.Errorf("will %+v", p.Will)
		}
		if l.connect != nil {
			return l.connect(p)
		}
	case wire.Subscribe:
		p, f := wire.DecodeSubscribe(body, 4)
		if f != nil {
			return f
		}
		if l.filters > 0 && len(p.Filters) > l.filters {
			return fmt.Errorf("%d filters in one SUBSCRIBE", len(p.Filters))
		}
	case wire.Publish:
		return l.publish(raw)
	}
	return nil
}

func (l *limits) allows(topic string) bool {
	return l.topics == nil || slices.ContainsFunc(l.topics, func(p string) bool { return strings.HasPrefix(topic, p) })
}

func (l *limits) publish(raw []byte) error {
	p, f := publishOf(raw, 4)
	if f != nil {
		return f
	}
	topic := p.Message.Topic
	switch {
	case p.QoS > 1, l.noRetain && p.Retain:
		return fmt.Errorf("QoS %d, retain %t", p.QoS, p.Retain)
	case l.payload > 0 && len(p.Payload) > l.payload, l.topic > 0 && len(topic) > l.topic:
		return fmt.Errorf("%d bytes on a topic of %d", len(p.Payload), len(topic))
	case l.slashes > 0 && strings.Count(topic, "/") > l.slashes, !l.allows(topic):
		return fmt.Errorf("topic %q", topic)
	}
	now := time.Now()
	l.sent = append(l.sent, now)
	if n := len(l.sent); l.rate > 0 && n > l.rate && now.Sub(l.sent[n-1-l.rate]) < time.Second {
		return fmt.Errorf("more than %d messages a second", l.rate)
	}
	return nil
}

// startSecure is start with TLS in between.
func startSecure(t *testing.T, cfg uplink.Config, local *localBroker, c *cloud, change func(*uplink.Deps)) *rig {
	t.Helper()
	ca, now := newAuthority(t), time.Now()
	cert, key := ca.issue(t, "cloud.test", now.AddDate(-1, 0, 0), now.AddDate(1, 0, 0))
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	// Tickets are written before anything is read, which a pipe without a buffer does not survive.
	c.tls = &tls.Config{Certificates: []tls.Certificate{pair}, SessionTicketsDisabled: true, NextProtos: []string{"mqtt"}}
	cfg.CA = ca.file
	return startWith(t, cfg, local, c.dial, func(d *uplink.Deps) {
		d.Resolve = func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1")}, nil
		}
		change(d)
	})
}

func TestDialectsHoldTheLimits(t *testing.T) {
	for _, c := range []struct {
		cloud  string
		limits limits
		change func(*uplink.Config)
		given  int // messages that this cloud cannot hold
		want   int // of 300 readings, as the cloud sees them
	}{
		{"aws", limits{payload: 128 << 10, topic: 256, slashes: 7, filters: 8, rate: 100, noRetain: true}, func(c *uplink.Config) {
			c.URLs, c.ALPN, c.Send = []string{"mqtts://cloud.test:443"}, "mqtt", []string{"#"}
			c.Receive = nil
			for i := range 10 {
				c.Receive = append(c.Receive, fmt.Sprint("in/", i))
			}
		}, 3, 300},
		{"azure", limits{payload: 256 << 10, noRetain: true, topics: []string{"devices/gw/messages/events/"}, connect: func(p *wire.ConnectPacket) error {
			if p.User != "cloud.test/gw/?api-version=2021-04-12" || !strings.HasPrefix(string(p.Password), "SharedAccessSignature sr=cloud.test%2Fdevices%2Fgw&sig=") {
				return fmt.Errorf("user %q, password %q", p.User, p.Password)
			}
			return nil
		}}, func(c *uplink.Config) {
			c.URLs, c.Send = []string{"mqtts://cloud.test"}, []string{"#"}
			c.Password = func() ([]byte, error) { return []byte("a2V5"), nil }
		}, 1, 300},
		{"thingsboard", limits{payload: 65536, noRetain: true, topics: []string{"v1/gateway/", "v1/devices/me/"}}, func(c *uplink.Config) { c.Username = "token" }, 1, 300},
	} {
		t.Run(c.cloud, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				cfg.URLs, cfg.Cloud = []string{"mqtts://cloud.test"}, c.cloud
				c.change(&cfg)
				ours := &cloud{version: 4, strict: c.limits.judge, cutAfter: 250, cuts: 1} // what is sent again counts too
				local := &localBroker{}
				var given int
				r := startSecure(t, cfg, local, ours, func(d *uplink.Deps) { d.GaveUp = func(string, []byte) { given++ } })
				synctest.Wait()
				for i := range 300 {
					local.publish(dataA, fmt.Sprintf(`{"seq":%d}`, i), 1, true)
				}
				local.publish("edged/gw/event", `{"long":"`+strings.Repeat("x", 300<<10)+`"}`, 1, false)
				if c.given > 1 {
					local.publish("a/b/c/d/e/f/g/h/i", "deep", 1, false)
					local.publish(strings.Repeat("x", 257), "wide", 1, false)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if _, left, _, _ := local.state(); left != 0 {
					t.Errorf("%d messages are owed", left)
				}
				seen := 0
				ours.mu.Lock()
				for _, m := range ours.got {
					if decoded, err := url.QueryUnescape(m.topic); err == nil && (strings.Contains(decoded, dataA) || strings.HasSuffix(decoded, "/telemetry")) {
						seen++
					}
				}
				ours.mu.Unlock()
				if s := r.up.Status(); given != c.given || int(s.Unsendable) != c.given || seen < c.want || s.Reconnects != 1 || s.State != uplink.Up {
					t.Errorf("%d given up, %d readings came, status %+v", given, seen, s)
				}
				r.end()
				if ours.faults != nil {
					t.Errorf("the cloud saw %v", ours.faults)
				}
			})
		})
	}
}

func TestWhatACloudCannotCarryIsToldBeforeTheStart(t *testing.T) {
	cfg := config()
	cfg.Cloud, cfg.QoS = "aws", 2
	if _, err := uplink.New(cfg, uplink.Deps{}); err == nil || !strings.Contains(err.Error(), "no QoS 2") {
		t.Errorf("New: %v", err)
	}
}

// A cloud that throws a session out when its token ends never does: another one is shown before.
func TestATokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Cloud, cfg.URLs = "azure", []string{"mqtts://cloud.test"}
		cfg.Password = func() ([]byte, error) { return []byte("a2V5"), nil }
		var ends time.Time
		ours := &cloud{version: 4, strict: func(h byte, body, _ []byte) error {
			if h>>4 == wire.Connect {
				p, _ := wire.DecodeConnect(h, body)
				values, err := url.ParseQuery(string(p.Password))
				n, _ := strconv.ParseInt(values.Get("se"), 10, 64)
				ends = time.Unix(n, 0)
				return err
			}
			if time.Now().After(ends) {
				return errors.New("the token has ended")
			}
			return nil
		}}
		r := startSecure(t, cfg, &localBroker{}, ours, func(*uplink.Deps) {})
		time.Sleep(73 * time.Hour)
		synctest.Wait()
		if s := r.up.Status(); s.State != uplink.Up || s.Reconnects != 3 {
			t.Errorf("status %+v", s)
		}
		r.end()
		if ours.faults != nil {
			t.Errorf("the cloud saw %v", ours.faults)
		}
	})
}
