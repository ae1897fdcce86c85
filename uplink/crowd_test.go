// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
)

// meeting is a cloud that a whole fleet has a session with. It can be down: then it refuses connections, or swallows them.
type meeting struct {
	mu       sync.Mutex
	down     bool
	swallows bool
	open     map[net.Conn]bool
	accepted []time.Time // each CONNECT that was answered
	tries    []time.Time // each connection that was asked for
}

func (m *meeting) dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tries = append(m.tries, time.Now())
	if m.down {
		if m.swallows {
			m.mu.Unlock()
			<-ctx.Done()
			m.mu.Lock()
			return nil, ctx.Err()
		}
		return nil, syscall.ECONNREFUSED
	}
	ours, theirs := net.Pipe()
	m.open[ours] = true
	go m.serve(ours)
	return theirs, nil
}

// serve says yes to everything.
func (m *meeting) serve(nc net.Conn) {
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.open, nc)
		nc.Close()
	}()
	in := &frames{nc: nc}
	for {
		raw, err := in.next()
		if err != nil {
			return
		}
		if _, err := nc.Write(m.answer(raw)); err != nil {
			return
		}
	}
}

func (m *meeting) answer(raw []byte) []byte {
	h, body := split(raw)
	switch h >> 4 {
	case wire.Connect:
		m.mu.Lock()
		defer m.mu.Unlock()
		m.accepted = append(m.accepted, time.Now())
		return []byte{wire.Connack << 4, 2, 1, 0}
	case wire.Publish:
		if p, fault := publishOf(raw, 4); fault == nil && p.Message.QoS == 1 {
			return wire.AppendAck(nil, wire.Puback, p.ID, 0, 4)
		}
	case wire.Subscribe:
		if p, fault := wire.DecodeSubscribe(body, 4); fault == nil {
			return wire.AppendSuback(nil, p.ID, make([]byte, len(p.Filters)), 4)
		}
	case wire.Pingreq:
		return []byte{wire.Pingresp << 4, 0}
	}
	return nil
}

func (m *meeting) fall(swallows bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down, m.swallows = true, swallows
	for nc := range m.open {
		nc.Close()
	}
	m.accepted, m.tries = nil, nil
}

func (m *meeting) rise() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down, m.accepted = false, nil
}

func (m *meeting) seen() (accepted, tries []time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.accepted), slices.Clone(m.tries)
}

// busiest returns the most that happened within one second.
func busiest(all []time.Time) (most int) {
	from := 0
	for i, at := range all {
		for at.Sub(all[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// A fleet that lost its cloud for a minute comes back within a minute, and not all at once.
func TestFleetComesBackSpread(t *testing.T) {
	const fleet = 500
	for name, swallows := range map[string]bool{"refused": false, "swallowed": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &meeting{open: map[net.Conn]bool{}}
				var rigs []*rig
				for range fleet {
					rigs = append(rigs, start(t, config(), &localBroker{}, m.dial))
				}
				time.Sleep(40 * time.Second)
				if linked, _ := m.seen(); len(linked) != fleet {
					t.Fatalf("%d of %d gateways are linked", len(linked), fleet)
				}
				m.fall(swallows)
				time.Sleep(time.Minute)
				_, tries := m.seen()
				t.Logf("in the outage: %d tries, %d in the busiest second", len(tries), busiest(tries))
				m.rise()
				rose := time.Now()
				back, _ := m.seen()
				for time.Since(rose) < time.Minute && len(back) < fleet {
					time.Sleep(time.Second)
					back, _ = m.seen()
				}
				if len(back) != fleet {
					t.Fatalf("%d of %d gateways are back within a minute", len(back), fleet)
				}
				t.Logf("all are back after %v; %d in the busiest second", back[fleet-1].Sub(rose).Round(time.Millisecond), busiest(back))
				if most := busiest(back); most > fleet/5 {
					t.Errorf("%d of %d gateways came back within one second", most, fleet)
				}
				for _, r := range rigs {
					r.stop()
				}
				for _, r := range rigs {
					<-r.ended
				}
			})
		})
	}
}
