// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// scarce gives the broker a mebibyte for what waits.
func scarce(c *Config) { c.Limits.Memory = shareOfMemory << 20 }

// hits is how often a limit was reached.
func (b *Broker) hits(l statistics.Limit) uint64 { return b.counters.Hits()[l.String()] }

// A crowd is connections from outside, by name.
type crowd struct {
	b   *Broker
	all map[string]*conn
}

// add puts a connection among the others of which a packet has begun to come, or output waits.
func (x *crowd) add(t *testing.T, name string, packet, output int) *conn {
	c, _ := pair(t, x.b)
	c.inside = false
	c.account(0, packet)
	c.awaits.Store(packet > 0)
	c.out, c.draining = make([]byte, output/2), output-output/2
	x.b.env.Memory.Take(output)
	x.b.mu.Lock()
	x.b.conns[c] = struct{}{}
	x.b.mu.Unlock()
	x.all[name] = c
	return c
}

// closed are those that were.
func (x *crowd) closed() []string {
	var names []string
	for name, c := range x.all {
		c.mu.Lock()
		if c.closed {
			names = append(names, name)
		}
		c.mu.Unlock()
	}
	slices.Sort(names)
	return names
}

// Where memory is short, those are closed that have not moved while it was up to them, only once they have been looked at
// for a second, the largest first, and no more of them than must be. However much the others hold, they stay.
func TestShedsWhoHasNotMoved(t *testing.T) {
	b := opened(t, scarce)
	x := &crowd{b, map[string]*conn{}}
	for name, size := range map[string]int{"half 300": 300, "half 200": 200, "half 100": 100, "half 3": 3} {
		x.add(t, name, size<<10, 0)
	}
	x.add(t, "deaf 250", 0, 250<<10)
	x.add(t, "deaf 150", 0, 150<<10)
	x.add(t, "whole", 400<<10, 0).awaits.Store(false)
	held := x.add(t, "held", 400<<10, 0)
	held.awaits.Store(false)
	held.held.Store(true)
	x.add(t, "inside", 0, 400<<10).inside = true
	sends, reads := x.add(t, "sends", 400<<10, 0), x.add(t, "reads", 0, 400<<10)
	look := func(need int) {
		if sends.unsent.Load() > 2 {
			sends.unsent.Store(0)
		}
		if reads.untaken > 2 {
			reads.untaken = 0
		}
		b.shed(need)
	}
	bound := 1 << 20
	most := int(b.env.Memory.Used())
	for range idleLooks - 1 {
		look(bound - most + 400<<10) // 400 KiB have to go
	}
	if got := x.closed(); got != nil {
		t.Fatalf("%v were closed before they were looked at for a second", got)
	}
	look(bound - most) // there is room
	if got := x.closed(); got != nil {
		t.Fatalf("%v were closed although there is room", got)
	}
	look(bound - most + 400<<10)
	if got := x.closed(); !slices.Equal(got, []string{"deaf 250", "half 300"}) {
		t.Fatalf("for 400 KiB, %v were closed", got)
	}
	for range 3 * idleLooks {
		look(most)
	}
	if got := x.closed(); !slices.Equal(got, []string{"deaf 150", "deaf 250", "half 100", "half 200", "half 300"}) {
		t.Errorf("for as much as can be, %v were closed", got)
	}
	if n := b.hits(statistics.MemoryShed); n != 5 {
		t.Errorf("%d were counted", n)
	}
}

// trickle reads as many bytes as it is told to.
type trickle chan int

func (x trickle) Read(p []byte) (int, error) { return <-x, nil }

// Who sends 4 KiB of a packet in a second, or the end of one, goes on; who sends less does not.
func TestHonestPace(t *testing.T) {
	b := opened(t)
	c, _ := pair(t, b)
	in := make(trickle, 1)
	c.input = in
	buf := make([]byte, 1<<20)
	w, used := 0, 0
	step := func(n int) (idle bool) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			n, err := c.receive(buf, w, used)
			w += n
			if err != nil {
				t.Error(err)
			}
		}()
		polls(t, "it reads", func() bool { return w == 0 || c.awaits.Load() })
		idle = c.look().idle
		in <- n
		<-done
		return idle
	}
	step(100)
	for i := range 50 {
		if step(honestPace/(idleLooks-1) + 1) {
			t.Fatalf("who sends %d bytes a look is idle at look %d, with %d bytes", honestPace/(idleLooks-1)+1, i, w)
		}
	}
	for i := 0; !step(honestPace/idleLooks - 100); i++ {
		if i > 2*idleLooks {
			t.Fatalf("who sends %d bytes a look is not idle", honestPace/idleLooks-100)
		}
	}
	for i := range 3 * idleLooks {
		if w, used = 10+i%2, 100; step(1) {
			t.Fatalf("whose packets end is idle at look %d", i)
		}
	}
}

// Clients of whose packets all have sent halves that fill the memory together get them all done, one after the other, with
// at most one packet beyond the bound; nobody is closed, and nothing stays taken.
func TestHalvesOfPacketsDoNotWaitForEachOther(t *testing.T) {
	b := opened(t, scarce, func(c *Config) { c.Listen = []string{"127.0.0.1:0"} })
	ctx, cancel := context.WithCancel(t.Context())
	if err := b.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	defer func() {
		cancel()
		b.closeListeners()
		for _, c := range b.connections() {
			c.close()
		}
		b.poller.close()
		waitsFor(t, "the broker", b.workers.Wait)
	}()
	const crowd = 20
	m := wire.Message{Topic: "t", Payload: make([]byte, 200_000)}
	packet := wire.AppendPublish(nil, &m, 4, 0, 0, false, false, nil, 0)
	half := len(packet) / 2
	var all []net.Conn
	send := func(part []byte) *sync.WaitGroup {
		var sent sync.WaitGroup
		for _, nc := range all {
			sent.Go(func() {
				if _, err := nc.Write(part); err != nil {
					t.Error(err)
				}
			})
		}
		return &sent
	}
	answer := make([]byte, 4)
	for i := range crowd {
		nc, err := net.Dial("tcp", b.Addrs()[0].String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		hello := wire.AppendConnect(nil, &wire.ConnectPacket{Level: 4, Clean: true, ClientID: string(rune('a' + i))})
		if _, err := nc.Write(hello); err != nil {
			t.Fatal(err)
		}
		if n, err := nc.Read(answer); n != 4 || err != nil {
			t.Fatalf("CONNACK % x, %v", answer[:n], err)
		}
		all = append(all, nc)
	}
	first := send(packet[:half])
	// Each has all of its half read, or waits for memory for it; one may have it beyond the bound.
	halted := func() (held, halves int) {
		for _, c := range b.connections() {
			if c.held.Load() {
				held++
			} else if c.awaits.Load() && int(c.buffered.Load()) > half-readMin {
				halves++
			}
		}
		return held, halves
	}
	polls(t, "all stand still", func() bool { held, halves := halted(); return held+halves == crowd && held > 0 })
	first.Wait()
	if held, halves := halted(); held == 0 || halves == 0 || b.env.Memory.Fits(64<<10) {
		t.Fatalf("%d wait for memory, %d for the rest, %d bytes are taken: this shows nothing", held, halves, b.env.Memory.Used())
	}
	most := int64(0)
	rest := send(append(bytes.Clone(packet[half:]), wire.Pingreq<<4, 0))
	end := time.Now().Add(10 * time.Second)
	for i, nc := range all {
		if err := nc.SetReadDeadline(end); err != nil {
			t.Fatal(err)
		}
		if n, err := nc.Read(answer); err != nil || answer[0]>>4 != wire.Pingresp {
			t.Fatalf("client %d got % x, %v", i, answer[:n], err)
		}
		most = max(most, b.env.Memory.Used())
	}
	rest.Wait()
	if most > 1<<20+300_000 {
		t.Errorf("%d bytes were taken", most)
	}
	b.env.Memory.Take(1 << 20)
	if _, err := all[0].Write(packet[:half]); err != nil {
		t.Fatal(err)
	}
	polls(t, "one has the turn", func() bool { return len(b.turn) == 1 })
	all[0].Close()
	polls(t, "its turn ends with it", func() bool { return len(b.turn) == 0 })
	b.env.Memory.Take(-1 << 20)
	for _, nc := range all {
		nc.Close()
	}
	polls(t, "nothing is taken", func() bool { return b.env.Memory.Used() == 0 && len(b.turn) == 0 })
	if h := b.counters.Hits(); h["memory_shed"] > 0 || h["memory_wait"] == 0 {
		t.Errorf("%v", maps.Collect(maps.All(h)))
	}
}

// polls waits until a condition holds.
func polls(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
		<-time.After(time.Millisecond)
	}
}
