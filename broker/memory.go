// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"context"
	"slices"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// Limits.Memory is what the machine may lose to our clients, as the system counts it. Buffers are longer than what is in
// them, a collected heap takes more than what lives, stacks are not counted, and what waits and what stands may both be at
// their bounds, besides the retained messages: so each of the two gets an eighth.
//
// What waits: output and queues of slow readers, packets that have begun to come, acknowledgements that wait for the
// disk, topic aliases. A client that reads what it gets and goes on with what it has begun is never closed for it, however
// much others hold; at most it is not read from for a while:
//
//  1. beyond half, a reader for whom 64 KiB wait gets no more of QoS 0, and the rest of what it is owed comes later,
//  2. beyond three quarters, what a clean session would queue is dropped, and persistent ones read on from the journal
//     later: the rest is for packets that come,
//  3. at the bound, who sends a large packet is not read from until there is room. One of them at a time has the turn: its
//     packet grows beyond the bound to its end, so that halves of packets never wait for each other,
//  4. while somebody waits for memory, connections are closed that hold some and have not moved for a second in which
//     that was up to them: who takes nothing of its output, or sends neither the end of a packet nor 4 KiB more of it.
//     Those go first that hold most.
//
// Topic aliases have a quarter of it at most: there the client goes that has most of them.
const shareOfMemory = 8

// preauthShare is how much of what may wait may be CONNECTs that have begun to come, aliasShare how much topic aliases.
const (
	preauthShare = 8
	aliasShare   = 4
)

func (b *Broker) setMemory(limit int64) {
	b.env.Memory.SetLimit(limit / shareOfMemory)
	b.env.State.SetLimit(limit / shareOfMemory)
	b.preauth.SetLimit(limit / shareOfMemory / preauthShare)
	b.aliases.SetLimit(limit / shareOfMemory / aliasShare)
}

// memoryInUse is how much of Limits.Memory is taken, without what the collector needs.
func (b *Broker) memoryInUse() int64 { return b.env.Memory.Used() + b.preauth.Used() + b.standing() }

// wantedRoom is how much is made free below what queues and output may fill, when somebody waits for memory.
const wantedRoom = 512 << 10

// sweepMemory makes room where somebody waits for it.
func (b *Broker) sweepMemory() {
	var r session.Round
	need := 0
	if b.starving.Swap(false) {
		need = int(b.limits().Memory)/shareOfMemory/4 + wantedRoom
		for _, c := range b.connections() {
			if c.starved() {
				c.pump(&r)
			}
		}
	}
	r.Flush()
	b.shed(need)
}

// shed closes connections while there is no room for n more bytes that wait: those that have not moved, first those that
// hold most. Each call is a look at them.
func (b *Broker) shed(n int) {
	excess := b.env.Memory.Excess(n)
	if excess == 0 {
		return
	}
	var all []keeper
	for _, c := range b.connections() {
		if x := c.look(); x.idle && !c.inside && x.bytes > worthShedding {
			all = append(all, x)
		}
	}
	slices.SortFunc(all, func(x, y keeper) int { return cmp.Compare(y.bytes, x.bytes) })
	for _, x := range all {
		if excess <= 0 {
			return
		}
		excess -= int64(x.bytes)
		b.counters.Hit(statistics.MemoryShed)
		if loud, n := b.refused.note(shedMemory, ""); loud {
			b.log.Warn("connection closed: limits.memory is reached, and it holds some and has not moved for a second",
				"peer", x.c.peer(), "client_id", x.c.clientID(), "bytes", x.bytes, "so_far", n)
		}
		x.c.close()
	}
}

// keeper is a connection of which something waits.
type keeper struct {
	c     *conn
	bytes int
	idle  bool // it has not moved although that was up to it
}

// worthShedding is what a connection must hold for its end to help, and honestPace what of a packet must come while
// idleLooks looks are taken at it. Looks are counted rather than time: on a machine that stood still nobody is late.
const (
	worthShedding = 4 << 10
	honestPace    = 4 << 10
	idleLooks     = 1 + int(time.Second/sweepEvery)
)

// look tells what the connection holds, and whether it has not moved for so many looks.
func (c *conn) look() keeper {
	x := keeper{c: c, bytes: int(c.buffered.Load())}
	if c.awaits.Load() {
		x.idle = c.unsent.Add(1) >= int32(idleLooks)
	}
	c.mu.Lock()
	if c.draining > 0 {
		c.untaken++
		x.idle = x.idle || c.untaken >= idleLooks
	}
	x.bytes += len(c.out) + c.draining + ackBytes*len(c.acks)
	x.idle = x.idle && !c.closed
	c.mu.Unlock()
	if s := c.standing.Load(); s != nil {
		s.Lock()
		if s.Sink() == session.Sink(c) {
			x.bytes += s.Holds()
		}
		s.Unlock()
	}
	return x
}

// receive reads on, of a packet of which w bytes are there; used are the bytes of whole ones that the last read brought.
func (c *conn) receive(buf []byte, w, used int) (int, error) {
	if used > 0 || w-c.had >= honestPace {
		c.had = w
		c.unsent.Store(0)
	}
	c.awaits.Store(w > 0)
	defer c.awaits.Store(false)
	return c.input.Read(buf[w:])
}

func (b *Broker) connections() []*conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*conn, 0, len(b.conns))
	for c := range b.conns {
		all = append(all, c)
	}
	return all
}

func (c *conn) clientID() string {
	if s := c.standing.Load(); s != nil {
		return s.ID
	}
	return ""
}

// budget is that of the connection's packets that have begun to come.
func (c *conn) budget() *session.Budget {
	if c.standing.Load() == nil {
		return &c.b.preauth
	}
	return &c.b.env.Memory
}

// takes asks for n more bytes for a packet that has begun to come. A client that is connected waits for them, or for its
// turn to take them all the same. It is false where the connection has to end.
func (c *conn) takes(ctx context.Context, n int) bool {
	switch {
	case c.inside || c.turn || c.budget().Fits(n):
		return true
	case c.standing.Load() == nil:
		return c.takesBefore(n)
	}
	c.b.counters.Hit(statistics.MemoryWait)
	c.scratch.round.Flush()
	c.held.Store(true)
	defer c.letGo()
	tick := time.NewTicker(lookForRoom)
	defer tick.Stop()
	for !c.turn && !c.budget().Fits(n) {
		c.b.starving.Store(true)
		select {
		case <-ctx.Done():
			return false
		case c.b.turn <- struct{}{}:
			c.turn = true
		case <-tick.C:
		}
	}
	return true
}

// lookForRoom is how often who waits for memory looks whether there is some.
const lookForRoom = 100 * time.Millisecond

// passTurn gives the turn to whoever waits for it.
func (c *conn) passTurn() {
	if c.turn {
		c.turn = false
		<-c.b.turn
	}
}

// takesBefore asks for n more bytes for a CONNECT. Where there is no room, the connection has to end that waits for the
// rest of its CONNECT for longest; false: that is this one.
func (c *conn) takesBefore(n int) bool {
	var all []*conn
	for _, o := range c.b.connections() {
		if o.standing.Load() == nil && o.buffered.Load() > 0 {
			all = append(all, o)
		}
	}
	slices.SortFunc(all, func(x, y *conn) int { return cmp.Compare(x.began.Load(), y.began.Load()) })
	for _, o := range all {
		if c.b.preauth.Fits(n) {
			break
		}
		c.b.counters.Hit(statistics.MemoryShed)
		if o == c {
			return false
		}
		c.b.preauth.Take(-int(o.buffered.Swap(0))) // it gives back no more when it ends
		o.close()
	}
	return c.b.preauth.Fits(n)
}

// keepAlias counts what a topic alias takes more than what it stood for before. Where aliases take too much together, the
// connection has to end that has most of them; the fault is that it is this one.
func (c *conn) keepAlias(more int) *wire.Fault {
	if c.inside || more == 0 {
		return nil
	}
	c.aliased.Add(int32(more))
	c.b.env.Memory.Take(more)
	c.b.aliases.Take(more)
	if more < 0 || c.b.aliases.Fits(0) || c.aliased.Load() <= fewAliases {
		return nil
	}
	most := c
	for _, o := range c.b.connections() {
		if o.aliased.Load() > most.aliased.Load() {
			most = o
		}
	}
	c.b.counters.Hit(statistics.MemoryShed)
	if most != c {
		most.close()
		return nil
	}
	return &wire.Fault{Code: wire.QuotaExceeded, Text: "no memory for a topic alias"}
}

// fewAliases is how many bytes of aliases any client may have.
const fewAliases = 2 << 10

// dropAliases gives back what the connection's topic aliases took.
func (c *conn) dropAliases() {
	n := -int(c.aliased.Swap(0))
	c.b.env.Memory.Take(n)
	c.b.aliases.Take(n)
}
