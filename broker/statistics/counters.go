// SPDX-License-Identifier: Apache-2.0

// Package statistics counts what goes through the broker, and writes it as the topics of $SYS, under mosquitto's names,
// so that what reads these from mosquitto reads them here.
package statistics

import "sync/atomic"

// Traffic is what went in one direction.
type Traffic struct {
	Packets   uint64 // of any type
	Publishes uint64
	Payload   uint64 // bytes of these
	Bytes     uint64 // of everything
}

// Counters count since the start. The zero value is ready. Its methods may be called from any goroutine; who has many
// packets to tell of adds them up first, and tells once.
type Counters struct {
	received, sent traffic

	sockets  atomic.Uint64 // connections taken in
	connects atomic.Uint64 // of these, with a CONNECT that was accepted
	dropped  atomic.Uint64 // messages
	expired  atomic.Uint64 // sessions
	hits     [limits]atomic.Uint64
}

// traffic is a cache line of its own, since the directions are counted by different cores.
type traffic struct {
	packets, publishes, payload, bytes atomic.Uint64
	_                                  [4]uint64
}

func (x *traffic) add(t *Traffic) {
	addTo(&x.packets, t.Packets)
	addTo(&x.publishes, t.Publishes)
	addTo(&x.payload, t.Payload)
	addTo(&x.bytes, t.Bytes)
	*t = Traffic{}
}

func addTo(x *atomic.Uint64, n uint64) {
	if n > 0 {
		x.Add(n)
	}
}

func (x *traffic) load() Traffic {
	return Traffic{x.packets.Load(), x.publishes.Load(), x.payload.Load(), x.bytes.Load()}
}

// Received counts t, which came from clients, and empties it.
func (c *Counters) Received(t *Traffic) { c.received.add(t) }

// Sent counts t, which went to clients, and empties it.
func (c *Counters) Sent(t *Traffic) { c.sent.add(t) }

// Traffic is what has come from clients and gone to them.
func (c *Counters) Traffic() (received, sent Traffic) { return c.received.load(), c.sent.load() }

// Sockets is how many connections came in.
func (c *Counters) Sockets() uint64 { return c.sockets.Load() }

// Socket counts a connection that came in.
func (c *Counters) Socket() { c.sockets.Add(1) }

// Connect counts a CONNECT that was accepted.
func (c *Counters) Connect() { c.connects.Add(1) }

// Dropped counts messages that sessions gave up or lost.
func (c *Counters) Dropped(n uint64) { c.dropped.Add(n) }

// Drops is how many messages sessions gave up or lost.
func (c *Counters) Drops() uint64 { return c.dropped.Load() }

// Expired counts a session that nobody came back for.
func (c *Counters) Expired() { c.expired.Add(1) }

// Hit counts that a limit was reached.
func (c *Counters) Hit(l Limit) { c.hits[l].Add(1) }

// Hits is how often each limit was reached, by its name; all are in it.
func (c *Counters) Hits() map[string]uint64 {
	all := make(map[string]uint64, limits)
	for l := range limits {
		all[l.String()] = c.hits[l].Load()
	}
	return all
}
