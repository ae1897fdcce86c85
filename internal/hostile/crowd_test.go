// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// hold opens sockets, says to each what say returns, and keeps them until the attack is over.
func hold(t *testing.T, e *target, n int, say func(i int) []byte) (all []*client) {
	t.Helper()
	var mu sync.Mutex
	t.Cleanup(func() {
		for _, c := range all {
			c.drop()
		}
	})
	each(make([]struct{}, n), func(struct{}) {
		c, err := e.dial()
		if err != nil {
			t.Errorf("dial: %v", err)
			return
		}
		mu.Lock()
		i := len(all)
		all = append(all, c)
		mu.Unlock()
		if b := say(i); c.send(b) != nil {
			return // closed already, which is its right
		}
	})
	return all
}

// comesIn is a good client that has to be let in at once, however crowded it is.
func comesIn(t *testing.T, e *target) {
	t.Helper()
	began := time.Now()
	c, code, err := e.connect(clean(4, newName()))
	if err != nil || code != 0 {
		t.Errorf("a good client is not let in: code %d, %v", code, err)
		return
	}
	defer c.drop()
	if took := time.Since(began); took > 4*servedWithin {
		t.Errorf("a good client came in after %v", took)
	}
}

// halfOpenSockets are 1,000 that say nothing.
func halfOpenSockets(t *testing.T, e *target) {
	hold(t, e, 1000, func(int) []byte { return nil })
	for range 15 {
		comesIn(t, e)
		pause(100 * time.Millisecond)
	}
}

// largeClaims are 1,000 that announce a CONNECT of 256 MiB.
func largeClaims(t *testing.T, e *target) {
	for _, c := range hold(t, e, 1000, func(int) []byte { return []byte{0x10, 0xff, 0xff, 0xff, 0x7f} }) {
		if !c.end(patience).closed {
			t.Fatal("a CONNECT of 256 MiB is waited for")
		}
	}
	comesIn(t, e)
}

// likelyClaims are 1,000 that announce the largest CONNECT that is taken, and send no more than its head.
func likelyClaims(t *testing.T, e *target) {
	head := append([]byte{0x10}, wire.AppendLength(nil, 60000)...)
	hold(t, e, 1000, func(int) []byte { return append(head, "\x00\x04MQTT\x04\x02\x00\x00"...) })
	for range 10 {
		comesIn(t, e)
		pause(100 * time.Millisecond)
	}
}

// unfinishedConnects are 1,000 that send most of a CONNECT of 60 kB and then wait.
func unfinishedConnects(t *testing.T, e *target) {
	most := append(append([]byte{0x10}, wire.AppendLength(nil, 60000)...), make([]byte, 59000)...)
	hold(t, e, 1000, func(int) []byte { return most })
	for range 10 {
		comesIn(t, e)
		pause(100 * time.Millisecond)
	}
}

// unfinishedPackets are clients that send most of the largest packet and then wait.
func unfinishedPackets(t *testing.T, e *target) {
	most := append(append([]byte{0x30}, wire.AppendLength(nil, 250000)...), make([]byte, 249000)...)
	all := crowd(t, e, 500, func(int) wire.ConnectPacket { return clean(4, newName()) })
	each(all, func(c *client) {
		if c.send(most) != nil {
			return // closed: it was at it for too long
		}
	})
	pause(500 * time.Millisecond)
	comesIn(t, e)
	for _, c := range all {
		c.drop()
	}
}

// connectFlood comes and goes as fast as it can.
func connectFlood(t *testing.T, e *target) { floodConnects(t, e, 3000) }

func floodConnects(t *testing.T, e *target, n int) {
	each(make([]struct{}, n), func(struct{}) {
		c, code, err := e.connect(clean(5, ""))
		if err != nil || code != 0 {
			t.Errorf("code %d, %v", code, err)
			return
		}
		c.drop()
	})
}

// slowWriters send one byte a second and are let in by nobody. They are put up at the start of the suite.
func slowWriters(t *testing.T, e *target) (over func(t *testing.T)) {
	return trickle(t, e, 100, wire.AppendConnect(nil, &wire.ConnectPacket{Level: 4, Clean: true, ClientID: "slow-slow-slow"}))
}

// trickle has n clients say something that is not finished within ten seconds.
func trickle(t *testing.T, e *target, n int, b []byte) (over func(t *testing.T)) {
	began := time.Now()
	var all sync.WaitGroup
	var mu sync.Mutex
	var ends []time.Duration
	for range n {
		c, err := e.dial()
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer c.drop()
			for i := range b {
				if c.send(b[i:i+1]) != nil || c.end(time.Second).closed {
					mu.Lock()
					ends = append(ends, time.Since(began))
					mu.Unlock()
					return
				}
			}
		})
	}
	return func(t *testing.T) {
		all.Wait()
		if len(ends) != n {
			t.Errorf("%d of %d that send a byte a second were closed", len(ends), n)
		}
		for _, d := range ends {
			if d > 14*time.Second {
				t.Errorf("one that sends a byte a second was closed after %v", d)
			}
		}
	}
}
