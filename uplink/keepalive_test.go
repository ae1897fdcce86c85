// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// natted is a connection through something that forgets it when nothing came through for a while: what is sent then goes
// nowhere, and nobody is told.
type natted struct {
	net.Conn
	forgets time.Duration

	mu   sync.Mutex
	last time.Time
	gone bool
}

// passes notes traffic and says whether it gets through.
func (n *natted) passes() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	n.gone = n.gone || now.Sub(n.last) >= n.forgets
	n.last = now
	return !n.gone
}

func (n *natted) Write(b []byte) (int, error) {
	if !n.passes() {
		return len(b), nil
	}
	return n.Conn.Write(b)
}

func (n *natted) Read(b []byte) (int, error) {
	for {
		got, err := n.Conn.Read(b)
		if err != nil || n.passes() {
			return got, err
		}
	}
}

// idleCloud is a cloud behind that, which notes what it is asked for.
type idleCloud struct {
	cloud
	forgets time.Duration
	server  time.Duration // the keep-alive that it sets, in MQTT 5; 0: none

	sessions []time.Duration // the keep-alive of each, not of the tries
	tries    int
}

func (c *idleCloud) dial(context.Context, netip.AddrPort) (net.Conn, error) {
	ours, theirs := net.Pipe()
	go func() {
		defer ours.Close()
		in := &frames{nc: ours}
		for {
			raw, err := in.next()
			if err != nil {
				return
			}
			answers, err := c.answer(raw)
			for _, a := range answers {
				if _, e := ours.Write(a); e != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return &natted{Conn: theirs, forgets: c.forgets, last: time.Now()}, nil
}

func (c *idleCloud) answer(raw []byte) ([][]byte, error) {
	h, body := split(raw)
	if h>>4 != wire.Connect {
		return c.take(raw, 1)
	}
	p, f := wire.DecodeConnect(h, body)
	if f != nil {
		return nil, f
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	ack := wire.ConnackPacket{SessionPresent: !p.Clean && c.known}
	if c.server > 0 {
		ack.ServerKeepAlive = new(uint16(min(c.server, time.Duration(p.KeepAlive)*time.Second) / time.Second))
	}
	if p.Clean {
		c.tries++
		if p.ClientID == "gw" || p.Will != nil {
			return nil, io.ErrUnexpectedEOF
		}
	} else {
		c.known, c.held = true, map[uint16]bool{}
		c.sessions = append(c.sessions, time.Duration(p.KeepAlive)*time.Second)
	}
	return [][]byte{wire.AppendConnack(nil, &ack, c.version)}, nil
}

func TestKeepAliveIsLearnt(t *testing.T) {
	for _, c := range []struct {
		name            string
		version         byte
		forgets, server time.Duration
		from, to        time.Duration
	}{
		{"a carrier of four minutes", 4, 4 * time.Minute, 0, 3 * time.Minute, 4 * time.Minute},
		{"one that forgets soon", 4, 40 * time.Second, 0, 30 * time.Second, 40 * time.Second},
		{"one that never does", 4, 100 * time.Hour, 0, 20 * time.Minute, 20 * time.Minute},
		{"a server that allows three minutes", 5, 100 * time.Hour, 3 * time.Minute, 100 * time.Second, 3 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "networks")
				cfg := config()
				cfg.KeepAuto, cfg.Version = true, c.version
				ours := &idleCloud{cloud: cloud{version: c.version}, forgets: c.forgets, server: c.server}
				run := func(d time.Duration) uplink.Status {
					r := startWith(t, cfg, &localBroker{}, ours.dial, func(d *uplink.Deps) { d.Networks = file })
					time.Sleep(d)
					s := r.up.Status()
					r.end()
					return s
				}
				s := run(8 * time.Hour)
				last := ours.sessions[len(ours.sessions)-1]
				if last < c.from || last > c.to {
					t.Errorf("after %d tries the session asks for %v, want %v to %v", ours.tries, last, c.from, c.to)
				}
				if c.forgets > time.Minute && s.Reconnects != 1 {
					t.Errorf("%d new sessions: the session was put at risk", s.Reconnects)
				}
				// It is remembered, and then no link dies. What a server allows is asked again in each process.
				before, tries := len(ours.sessions), ours.tries
				s = run(24 * time.Hour)
				if ours.sessions[before] != last || ours.tries > tries+1 || c.server == 0 && ours.tries != tries || s.Reconnects != 0 {
					t.Errorf("after a restart the session asks for %v, %d tries, %d new sessions", ours.sessions[before], ours.tries-tries, s.Reconnects)
				}
				if c.forgets < time.Hour { // the network is another by now: what was learnt is not believed for ever
					ours.forgets = last / 2
					run(8 * time.Hour)
					if again := ours.sessions[len(ours.sessions)-1]; again > max(last/2, 10*time.Second) {
						t.Errorf("in another network with the same name the session asks for %v", again)
					}
				}
			})
		})
	}
}
