// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// pipeConn is a connection of which the kernel's view is made up.
type pipeConn struct {
	net.Conn
	mu       sync.Mutex
	taken    uint64
	waits    uint64
	patience time.Duration
}

func (p *pipeConn) Taken() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken, true
}

func (p *pipeConn) Waiting() (uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waits, true
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

// A path that forgets an idle link says nothing. Whatever the keep-alive is, that is seen and mended within it and 5 s.
func TestAnIdleLinkThatWasForgottenIsBackWithinItsKeepAlive(t *testing.T) {
	for _, keepAlive := range []time.Duration{8 * time.Second, 12 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute} {
		t.Run(keepAlive.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := config()
				cfg.KeepAlive = keepAlive
				th := newTheatre(t)
				for range 20 {
					r := start(t, cfg, &localBroker{}, th.dial)
					a := th.accept()
					a.want(wire.Connect)
					a.send(anew)
					a.online(0x8000)
					a.exactly(subscribe)
					a.send(suback)
					a.exactly("\xc0\x00")
					a.send("\xd0\x00")
					synctest.Wait()
					heard := time.Now() // for the last time
					a.exactly("\xc0\x00")
					a = th.accept()
					if d := time.Since(heard); d > keepAlive+5*time.Second {
						t.Errorf("connects again after %v, promised are %v", d, keepAlive+5*time.Second)
					}
					a.want(wire.Connect)
					a.send(again)
					a.close()
					r.end()
				}
			})
		})
	}
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
