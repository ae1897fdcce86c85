// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// names is a name service on the gateway's machine, which knows the cloud by every name.
type names struct {
	delay atomic.Int64 // of each answer
	dead  atomic.Bool
	asked atomic.Int64
}

func nameService(t *testing.T, r *road) *names {
	t.Helper()
	s := &names{}
	var nc net.PacketConn
	err := r.gateway.inside(func() (err error) {
		nc, err = net.ListenPacket("udp4", "127.0.0.1:53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// Whatever name service this machine is told to ask, it is this one.
	r.gateway.run(t, "nft", "table ip names { chain out { type nat hook output priority -100; udp dport 53 redirect to :53; }; }")
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := nc.ReadFrom(buf)
			if err != nil {
				return
			}
			s.asked.Add(1)
			answer := answerTo(buf[:n])
			if answer == nil || s.dead.Load() {
				continue
			}
			serving.Go(func() {
				pause(time.Duration(s.delay.Load()))
				if _, err := nc.WriteTo(answer, from); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
			})
		}
	})
	t.Cleanup(func() { closed(t, nc.Close()); serving.Wait() })
	return s
}

// answerTo gives the cloud's address to a question for an A record, and no address to one for anything else (RFC 1035, 4.1).
func answerTo(query []byte) []byte {
	const head, tail = 12, 4 // the header; type and class behind the name
	end := head
	for end < len(query) && query[end] != 0 {
		end += int(query[end]) + 1
	}
	if end++; end+tail > len(query) {
		return nil
	}
	answer := append([]byte(nil), query[:end+tail]...)
	answer[2], answer[3] = 0x81, 0x80 // an answer, recursion available, no error
	binary.BigEndian.PutUint16(answer[6:], 0)
	binary.BigEndian.PutUint16(answer[10:], 0) // the additional record of EDNS is not there
	if binary.BigEndian.Uint16(query[end:]) == 1 {
		binary.BigEndian.PutUint16(answer[6:], 1)
		ip := netip.MustParseAddr(cloudIP).As4()
		answer = append(answer, 0xc0, head, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4) // the name above, A, IN, 5 s, 4 bytes
		answer = append(answer, ip[:]...)
	}
	return answer
}

// byName is the configuration of a gateway that knows its cloud by name.
func byName() string { return strings.Replace(plain(""), cloudIP, "cloud.example", 1) }

// Without names there is no cloud at first; once it was reached, its address is enough.
func TestNamesDead(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	c := newCloud(t, r, "")
	n := watch(t, c)
	s := nameService(t, r)
	s.dead.Store(true)
	g := newGateway(t, r, byName())
	f := flow(t, g)
	g.named(t, 30*time.Second, "down", "cloud.example")
	s.dead.Store(false)
	t.Logf("data flows %v after names are known", n.flows(t, time.Minute).Round(time.Millisecond))
	s.dead.Store(true)
	c.stop(t)
	pause(3 * time.Second)
	c.start(t)
	t.Logf("data flows %v after the cloud is back, without names", n.flows(t, time.Minute).Round(time.Millisecond))
	// Ours were on their way when the cloud stopped, and so were its own to the counter, as many.
	n.verdict(t, f, 60*time.Second, 2*inflight)
	if s.asked.Load() == 0 {
		t.Error("the name service was never asked: this shows nothing")
	}
}

func TestNamesSlow(t *testing.T) {
	t.Parallel()
	r := newRoad(t)
	c := newCloud(t, r, "")
	n := watch(t, c)
	s := nameService(t, r)
	s.delay.Store(int64(3 * time.Second))
	g := newGateway(t, r, byName())
	f := flow(t, g)
	t.Logf("data flows %v after the start, with names that take 3 s", n.flows(t, time.Minute).Round(time.Millisecond))
	n.verdict(t, f, 60*time.Second, inflight)
}
