// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
				reads := 0
				cfg.Password = func() ([]byte, error) {
					reads++
					return []byte{'0' + byte(reads)}, nil
				}
				th := newTheatre(t)
				r := start(t, cfg, &localBroker{}, th.dial)
				a := th.accept()
				if got := string(a.want(wire.Connect)); !strings.HasSuffix(got, "\x00\x01u\x00\x011") {
					t.Errorf("CONNECT %q, want user u and the first password", got)
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
				if got := string(a.want(wire.Connect)); !strings.HasSuffix(got, "\x00\x01u\x00\x012") {
					t.Errorf("CONNECT %q, want the password read anew", got)
				}
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

// pipeConn is a connection of which the kernel's view is made up.
type pipeConn struct {
	net.Conn
	mu       sync.Mutex
	taken    uint64
	patience time.Duration
}

func (p *pipeConn) Taken() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken, true
}

func (p *pipeConn) Patience(d time.Duration) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.patience = d
	return nil
}

func (p *pipeConn) take() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.taken++
}

func TestHalfOpenLink(t *testing.T) {
	for _, c := range []struct {
		name     string
		moves    time.Duration // how long the peer's TCP goes on taking bytes
		answers  bool          // another publish is acknowledged after 4 s
		from, to time.Duration // when the link is called dead
	}{
		{"nothing moves", 0, false, 6 * time.Second, 7 * time.Second},
		{"TCP takes bytes for a while", 20 * time.Second, false, 25 * time.Second, 27 * time.Second},
		{"another publish is acknowledged after 4 s", 0, true, 20 * time.Second, 21 * time.Second}, // 4 round trips later
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th, local := newTheatre(t), &localBroker{}
				var pc *pipeConn
				r := start(t, config(), local, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
					nc, err := th.dial(ctx, a)
					pc = &pipeConn{Conn: nc}
					return pc, err
				})
				a := th.accept()
				a.welcome(anew, true)
				a.online(0x8000)
				synctest.Wait()
				local.publish(dataA, "1", 1, false)
				local.publish(dataA, "2", 1, false)
				a.exactly(pub(2, dataA, 1, "1"))
				a.exactly(pub(2, dataA, 2, "2"))
				began := time.Now()
				for time.Since(began) < c.moves {
					time.Sleep(time.Second)
					pc.take()
				}
				if c.answers {
					time.Sleep(4 * time.Second)
					a.send(ack(wire.Puback, 2))
				}
				if _, err := a.in.next(); err == nil {
					t.Error("the uplink sent more on a silent link")
				}
				if d := time.Since(began); d < c.from || d > c.to {
					t.Errorf("called dead after %v, want %v to %v", d, c.from, c.to)
				}
				synctest.Wait()
				if s := r.up.Status(); s.State != uplink.Down || !strings.Contains(s.Text, "the link is dead") {
					t.Errorf("status %+v", s)
				}
				a = th.accept()
				a.welcome(again, false)
				a.exactly(pub(10, dataA, 1, "1"))
				a.close()
				r.end()
			})
		})
	}
}

func TestPingAfterThreeQuartersOfTheKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		r := start(t, config(), &localBroker{}, th.dial)
		a := th.accept()
		a.welcome(anew, true)
		a.online(0x8000)
		for range 3 {
			began := time.Now()
			a.exactly("\xc0\x00")
			if d := time.Since(began); d < 44*time.Second || d > 46*time.Second {
				t.Errorf("PINGREQ after %v without an acknowledgement, want 45 s", d)
			}
			a.send("\xd0\x00")
		}
		a.exactly("\xc0\x00")
		asked := time.Now()
		if _, err := a.in.next(); err == nil {
			t.Error("the uplink sent more without an answer")
		}
		if d := time.Since(asked); d < 6*time.Second || d > 7*time.Second {
			t.Errorf("an unanswered ping killed the link after %v", d)
		}
		r.end()
	})
}

func TestTheKernelsPatienceFollowsTheRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{}
		var pc *pipeConn
		r := start(t, config(), local, func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
			nc, err := th.dial(ctx, a)
			pc = &pipeConn{Conn: nc}
			return pc, err
		})
		a := th.accept()
		a.welcome(anew, true)
		a.want(wire.Publish)
		time.Sleep(5 * time.Second)
		a.send(ack(wire.Puback, 0x8000))
		time.Sleep(time.Second)
		pc.mu.Lock()
		patience := pc.patience
		pc.mu.Unlock()
		if patience != 20*time.Second {
			t.Errorf("TCP_USER_TIMEOUT is %v, want 20 s after a round trip of 5 s", patience)
		}
		a.close()
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
		a1, a2, b1 := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("192.0.2.3")
		dialled := make(chan string, 100)
		var up atomic.Bool
		th := newTheatre(t)
		r := startWith(t, cfg, &localBroker{}, nil, func(d *uplink.Deps) {
			d.Resolve = func(_ context.Context, host string) ([]netip.Addr, error) {
				if host == "first.test" {
					return []netip.Addr{a1, a2}, nil
				}
				return []netip.Addr{b1}, nil
			}
			d.Dial = func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
				dialled <- a.String()
				if up.Load() {
					return th.dial(ctx, a)
				}
				return nil, errors.New("connection refused")
			}
		})
		for _, want := range []string{"192.0.2.1:1883", "[2001:db8::1]:1883", "192.0.2.3:2883", "192.0.2.1:1883"} {
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
