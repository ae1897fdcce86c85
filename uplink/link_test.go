// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

func TestConnackCodes(t *testing.T) {
	for _, c := range []struct {
		name     string
		byte     byte
		code     string
		state    string
		from, to time.Duration // of the next try
	}{
		{"version", 1, "E310", uplink.Refused, time.Minute, 90 * time.Second},
		{"client id", 2, "E314", uplink.Refused, time.Minute, 90 * time.Second},
		{"unavailable", 3, "E315", uplink.Down, 500 * time.Millisecond, 4 * time.Second},
		{"user or password", 4, "E311", uplink.Refused, time.Minute, 90 * time.Second},
		{"not authorised", 5, "E312", uplink.Refused, time.Minute, 90 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				cfg.Username = "u"
				cfg.Password = func() ([]byte, error) { return []byte("1"), nil }
				th := newTheatre(t)
				r := start(t, cfg, &localBroker{}, th.dial)
				a := th.accept()
				if got := string(a.want(wire.Connect)); !strings.HasSuffix(got, "\x00\x01u\x00\x011") {
					t.Errorf("CONNECT %q, want user u and the password", got)
				}
				a.send("\x20\x02\x00" + string(c.byte))
				refusedAt := time.Now()
				synctest.Wait()
				s := r.up.Status()
				if s.State != c.state || s.Code != c.code || s.Text == "" {
					t.Errorf("status %+v, want %s with %s", s, c.state, c.code)
				}
				a = th.accept()
				if waited := time.Since(refusedAt); waited < c.from || waited > c.to {
					t.Errorf("tried again after %v, want %v to %v", waited, c.from, c.to)
				}
				a.want(wire.Connect)
				a.send(anew)
				a.exactly(subscribe)
				a.send(suback)
				a.online(0x8000)
				synctest.Wait()
				if s := r.up.Status(); s.State != uplink.Up || s.Code != "" {
					t.Errorf("status after the cloud changed its mind: %+v", s)
				}
				a.close()
				r.end()
			})
		})
	}
}

func TestAWeekWithoutCloud(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		hours := map[int]int{}
		began := time.Now()
		r := start(t, config(), &localBroker{}, func(context.Context, netip.AddrPort) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			hours[int(time.Since(began)/time.Hour)]++
			return nil, errors.New("no route to host")
		})
		time.Sleep(7 * 24 * time.Hour)
		if s := r.up.Status(); s.State != uplink.Down || !strings.Contains(s.Text, "no route to host") {
			t.Errorf("status %+v", s)
		}
		r.end()
		// After 20 minutes a try comes each 150 s on average: 24 an hour; six standard deviations more are 41.
		for h := 1; h < 7*24; h++ {
			if n := hours[h]; n < 10 || n > 41 {
				t.Errorf("%d tries in hour %d", n, h)
			}
		}
		if n := hours[0]; n < 20 || n > 120 {
			t.Errorf("%d tries in the first hour", n)
		}
	})
}

func TestABlackHoleIsGivenUpAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		took := make(chan time.Duration)
		r := start(t, config(), &localBroker{}, func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			began := time.Now()
			<-ctx.Done()
			select {
			case took <- time.Since(began):
			default:
			}
			return nil, ctx.Err()
		})
		if d := <-took; d != 5*time.Second {
			t.Errorf("the dial was given up after %v", d)
		}
		r.end()
	})
}

func TestTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		r := start(t, config(), &localBroker{}, th.dial)
		for i := range 4 {
			a := th.accept()
			a.want(wire.Connect)
			a.send(anew)
			a.want(wire.Publish)
			if i == 3 { // stays
				a.send(ack(wire.Puback, 0x8000))
				a.want(wire.Subscribe)
				a.send(suback)
				synctest.Wait()
				if s := r.up.Status(); s.State != uplink.Up || s.Code != "E313" {
					t.Errorf("status right after another CONNACK: %+v, want up with E313", s)
				}
				time.Sleep(11 * time.Second)
				if s := r.up.Status(); s.State != uplink.Up || s.Code != "" {
					t.Errorf("status after the session lasted: %+v", s)
				}
			}
			a.close()
			synctest.Wait()
			want := ""
			if i == 2 {
				want = "E313"
			}
			if s := r.up.Status(); s.State != uplink.Down || s.Code != want {
				t.Errorf("after session %d: status %+v, want code %q", i+1, s, want)
			}
		}
		r.end()
	})
}

func TestAChangeOfTheNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		nudge := make(chan func(), 1)
		var works atomic.Bool
		r := startWith(t, config(), &localBroker{}, nil, func(d *uplink.Deps) {
			d.Links = func(_ context.Context, changed func()) error {
				nudge <- changed
				return nil
			}
			d.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				if !works.Load() {
					return nil, errors.New("network is unreachable")
				}
				return th.dial(ctx, a)
			}
		})
		changed := <-nudge
		time.Sleep(24 * time.Hour) // now a try comes each few minutes
		synctest.Wait()
		works.Store(true)
		began := time.Now()
		changed()
		a := th.accept()
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("dialled %v after the network changed", d)
		}
		a.welcome(anew, true)
		a.online(0x8000)
		time.Sleep(5 * time.Second)
		changed()
		began = time.Now()
		a.exactly("\xc0\x00")
		if d := time.Since(began); d > time.Second {
			t.Errorf("PINGREQ %v after the network changed", d)
		}
		a.close()
		r.end()
	})
}

func TestURLsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.URLs = []string{"mqtt://first.test", "mqtt://second.test:2883"}
		a1, a2, b1 := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.3")
		dialled := make(chan string, 100)
		var up atomic.Bool
		th := newTheatre(t)
		r := startWith(t, cfg, &localBroker{}, nil, func(d *uplink.Deps) {
			d.Resolve = func(_ context.Context, network, host string) ([]netip.Addr, error) {
				switch {
				case network == "ip6" && host == "first.test":
					return []netip.Addr{a1}, nil
				case network == "ip4" && host == "first.test":
					return []netip.Addr{a2}, nil
				case network == "ip4":
					return []netip.Addr{b1}, nil
				}
				return nil, &net.DNSError{IsNotFound: true}
			}
			d.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				dialled <- a.String()
				if up.Load() {
					return th.dial(ctx, a)
				}
				return nil, errors.New("connection refused")
			}
		})
		for _, want := range []string{"[2001:db8::1]:1883", "192.0.2.1:1883", "192.0.2.3:2883", "[2001:db8::1]:1883"} {
			if got := <-dialled; got != want {
				t.Errorf("dialled %s, want %s", got, want)
			}
		}
		<-dialled
		up.Store(true)
		a := th.accept() // second.test
		a.welcome(anew, true)
		a.online(0x8000)
		a.close()
		<-dialled
		a = th.accept()
		if got := <-dialled; got != "192.0.2.3:2883" {
			t.Errorf("after a session was lost dialled %s, want the server that had accepted it", got)
		}
		a.close()
		r.end()
	})
}

func TestABacklogIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		r := start(t, config(), local, th.dial)
		a := th.accept()
		a.welcome(anew, true)
		a.online(0x8000)
		synctest.Wait()
		told := func(what string, want ...int) {
			t.Helper()
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			var got []int
			for _, s := range r.changes {
				got = append(got, s.Inflight)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: told with %v messages on their way, want %v", what, got, want)
			}
			r.changes = nil
		}
		r.mu.Lock()
		r.changes = nil
		r.mu.Unlock()
		local.publish(dataA, "0", 1, false)
		a.exactly(pub(2, dataA, 1, "0"))
		a.send(ack(wire.Puback, 1))
		told("a message passes")
		a.close()
		told("the link is lost", 0)
		local.publish(dataA, "1", 1, false)
		local.publish(dataA, "2", 1, false)
		told("two messages must wait", 1)
		a = th.accept()
		a.welcome(again, false)
		told("the link is back", 2)
		a.online(0x8001)
		a.exactly(pub(2, dataA, 2, "1"))
		a.exactly(pub(2, dataA, 3, "2"))
		a.send(ack(wire.Puback, 2) + ack(wire.Puback, 3))
		told("all has arrived", 0)
		a.close()
		r.end()
	})
}

func TestAnOutageEndsOnlyWithAGoodSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var works atomic.Bool
		th := newTheatre(t)
		r := start(t, config(), &localBroker{}, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			if !works.Load() {
				return nil, errors.New("network is unreachable")
			}
			return th.dial(ctx, a)
		})
		time.Sleep(24 * time.Hour)
		works.Store(true)
		waited := func(lasts time.Duration) time.Duration {
			a := th.accept()
			a.welcome(anew, true)
			a.want(wire.Publish)
			time.Sleep(50 * time.Millisecond) // an acknowledgement takes a while
			a.send(ack(wire.Puback, 0x8000))
			time.Sleep(lasts)
			a.close()
			began := time.Now()
			a = th.accept()
			d := time.Since(began)
			a.want(wire.Connect)
			a.send(anew) // a refusal to answer would be looked into
			a.close()
			return d
		}
		short := time.Duration(0)
		for range 6 {
			short += waited(20 * time.Second)
		}
		if short < 6*firstSpan { // once in 10^9: six tries within 4 s each when each comes within 5 minutes
			t.Errorf("after six sessions of 20 s the tries came %v later in all: the outage was counted anew", short)
		}
		for range 6 {
			if d := waited(31 * time.Second); d > firstSpan {
				t.Errorf("after a session of 31 s the try came %v later, want at most %v", d, firstSpan)
			}
		}
		r.end()
	})
}

const firstSpan = 4 * time.Second
