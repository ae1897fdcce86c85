// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"strconv"
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// willStorm is many clients with wills that die at once, while somebody listens to all of them.
func willStorm(t *testing.T, e *target) {
	const clients = 900
	listener := e.must(t, clean(4, newName()))
	if _, err := listener.subscribe(1, 1, "wills/#"); err != nil {
		t.Fatal(err)
	}
	last := bytes.Repeat([]byte("x"), 1000)
	all := crowd(t, e, clients, func(i int) wire.ConnectPacket {
		will := wire.Message{Topic: "wills/" + strconv.Itoa(i%10), Payload: last, QoS: byte(i % 3), Retain: i%2 == 0}
		return wire.ConnectPacket{Level: 4, Clean: true, ClientID: "mortal-" + strconv.Itoa(i), Will: &wire.WillPacket{Message: will}}
	})
	for _, c := range all {
		c.drop()
	}
	for got := 0; got < clients; {
		h, b, err := listener.packet(patience)
		if err != nil {
			t.Fatalf("after %d of %d wills: %v", got, clients, err)
		}
		if h>>4 != wire.Publish {
			continue
		}
		got++
		if n := 2 + int(b[0])<<8 + int(b[1]); h&6 == 2 {
			if err := listener.send(wire.AppendAck(nil, wire.Puback, uint16(b[n])<<8|uint16(b[n+1]), 0, 4)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range 10 {
		if err := listener.publish("wills/"+strconv.Itoa(i), nil, 0, 0, true); err != nil {
			t.Fatal(err)
		}
	}
}

// clientIDChurn leaves one persistent session behind after the other.
func clientIDChurn(t *testing.T, e *target) {
	each(index(4000), func(i int) {
		c, code, err := e.connect(wire.ConnectPacket{Level: 4, ClientID: "mayfly-" + strconv.Itoa(i)})
		if err != nil || code != 0 {
			t.Errorf("client %d: code %d, %v", i, code, err)
			return
		}
		if _, err := c.subscribe(1, 1, "mayflies/"+strconv.Itoa(i), "mayflies/all"); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
		c.drop()
	})
	c := e.must(t, clean(4, newName()))
	if err := c.publish("mayflies/all", []byte("x"), 1, 1, false); err != nil {
		t.Fatal(err)
	}
	if h, _, err := c.packet(patience); err != nil || h>>4 != wire.Puback {
		t.Errorf("a message to all of them: %x, %v", h, err)
	}
	forget(t, e, make([]*client, 4000), "mayfly-")
}

// takeOverStorm is 200 clients that claim to be the same one at once: one of them is, in the end.
func takeOverStorm(t *testing.T, e *target) {
	for round := range 5 {
		p := wire.ConnectPacket{Level: byte(4 + round%2), Clean: round%2 == 0, ClientID: "same"}
		var mu sync.Mutex
		var in []*client
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				c, code, err := e.connect(p)
				if err != nil || code != 0 {
					return // taken over while it was being let in
				}
				mu.Lock()
				defer mu.Unlock()
				in = append(in, c)
			})
		}
		all.Wait()
		alive := 0
		for _, c := range in {
			c.drain()
			if c.ping() == nil {
				alive++
			}
		}
		for _, c := range in {
			c.drop()
		}
		if alive != 1 {
			t.Errorf("round %d: %d of %d that came in as the same client are alive", round, alive, len(in))
		}
	}
	forget(t, e, make([]*client, 1), "same")
}

// drain reads what is there.
func (c *client) drain() {
	for {
		if _, _, err := c.packet(5 * time.Millisecond); err != nil {
			return
		}
	}
}
