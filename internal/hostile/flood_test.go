// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// crowd connects n clients.
func crowd(t *testing.T, e *target, n int, p func(i int) wire.ConnectPacket) []*client {
	t.Helper()
	all := make([]*client, n)
	each(index(n), func(i int) {
		c, code, err := e.connect(p(i))
		if err != nil || code != 0 {
			t.Errorf("client %d of %d: code %d, %v", i, n, code, err)
			return
		}
		all[i] = c
	})
	t.Cleanup(func() {
		for _, c := range all {
			if c != nil {
				c.drop()
			}
		}
	})
	if t.Failed() {
		t.FailNow()
	}
	return all
}

func index(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// slowReaders subscribe to what others publish much of, and read none of it: clean ones and persistent ones.
func slowReaders(t *testing.T, e *target) { readSlowly(t, e, 200, 3*time.Second) }

// readSlowly has n clients read nothing for d of what three others publish, which are only slowed down.
func readSlowly(t *testing.T, e *target, n int, d time.Duration) {
	deaf := crowd(t, e, n, func(i int) wire.ConnectPacket {
		return wire.ConnectPacket{Level: 4, Clean: i%2 == 0, ClientID: "deaf-" + strconv.Itoa(i)}
	})
	for i, c := range deaf {
		if _, err := c.subscribe(1, byte(i%3), "flood/#"); err != nil {
			t.Fatal(err)
		}
	}
	publishFor(t, e, d)
	for _, c := range deaf {
		c.drop()
	}
	forget(t, e, deaf, "deaf-")
}

// publishFor has a client at each QoS publish large messages for d, one after the other. None may be closed.
func publishFor(t *testing.T, e *target, d time.Duration) {
	big := bytes.Repeat([]byte("x"), 50000)
	until := time.Now().Add(d)
	each([]byte{0, 1, 2}, func(qos byte) {
		c, code, err := e.connect(clean(4, fmt.Sprint("flood-", qos)))
		if err != nil || code != 0 {
			t.Errorf("publisher %d: code %d, %v", qos, code, err)
			return
		}
		defer c.drop()
		for i := uint16(1); time.Now().Before(until) && err == nil; i = max(i+1, 1) {
			err = publishWhole(c, fmt.Sprint("flood/", qos), big, qos, i)
		}
		if err != nil {
			t.Errorf("publisher %d: %v", qos, err)
		}
	})
}

// publishWhole publishes a message and waits until that is done.
func publishWhole(c *client, topic string, payload []byte, qos byte, id uint16) error {
	const long = 3 * patience // the disk has its own pace, and so has who waits for memory
	if err := c.sendWithin(long, publishFrame(c.level, topic, payload, qos, id, false)); err != nil || qos == 0 {
		return err
	}
	if _, _, err := c.packet(long); err != nil || qos == 1 {
		return err
	}
	if err := c.send(wire.AppendAck(nil, wire.Pubrel, id, 0, c.level)); err != nil {
		return err
	}
	_, _, err := c.packet(long)
	return err
}

// halvesAmongDeaf are clients that send half of a packet and wait, beside others that read nothing: together they ask for
// more memory than there is. Who publishes whole packets gets them all done.
func halvesAmongDeaf(t *testing.T, e *target) {
	deaf := crowd(t, e, 100, func(i int) wire.ConnectPacket { return clean(4, newName()) })
	for i, c := range deaf {
		if _, err := c.subscribe(1, byte(i%3), "flood/#"); err != nil {
			t.Fatal(err)
		}
	}
	half := append(append([]byte{0x30}, wire.AppendLength(nil, 250000)...), make([]byte, 125000)...)
	halves := crowd(t, e, 80, func(int) wire.ConnectPacket { return clean(4, newName()) })
	var sending sync.WaitGroup
	for _, c := range halves {
		sending.Go(func() {
			if c.send(half) != nil {
				return // it was closed, or had to wait for too long
			}
		})
	}
	publishFor(t, e, 3*time.Second)
	for _, c := range slices.Concat(deaf, halves) {
		c.drop()
	}
	sending.Wait()
}

// forget ends persistent sessions that an attack left behind.
func forget(t *testing.T, e *target, all []*client, prefix string) {
	t.Helper()
	each(index(len(all)), func(i int) {
		c, code, err := e.connect(clean(4, prefix+strconv.Itoa(i)))
		if err != nil || code != 0 {
			t.Errorf("forget %d: code %d, %v", i, code, err)
			return
		}
		c.drop()
	})
}

// publishFlood sends messages as fast as it can, at every QoS, without reading the answers.
func publishFlood(t *testing.T, e *target) {
	all := crowd(t, e, 9, func(int) wire.ConnectPacket { return clean(4, newName()) })
	until := time.Now().Add(1500 * time.Millisecond)
	each(index(len(all)), func(i int) {
		var burst []byte
		for n := range 200 {
			burst = append(burst, publishFrame(4, "noise/"+strconv.Itoa(n), []byte("x"), byte(i%3), uint16(n+1), false)...)
		}
		for time.Now().Before(until) {
			if all[i].nc.SetWriteDeadline(until) != nil {
				return
			}
			if _, err := all[i].nc.Write(burst); err != nil {
				return // it is slowed down, or closed for holding too much
			}
		}
	})
}

// pingFlood asks and does not listen.
func pingFlood(t *testing.T, e *target) {
	all := crowd(t, e, 8, func(int) wire.ConnectPacket { return clean(4, newName()) })
	pings := bytes.Repeat([]byte{wire.Pingreq << 4, 0}, 5000)
	until := time.Now().Add(time.Second)
	each(all, func(c *client) {
		for time.Now().Before(until) {
			if c.nc.SetWriteDeadline(until) != nil {
				return
			}
			if _, err := c.nc.Write(pings); err != nil {
				return
			}
		}
	})
}

// subscriptionFlood asks for more than anybody gets: many filters, deep ones, again and again, in clean and persistent
// sessions.
func subscriptionFlood(t *testing.T, e *target) {
	all := crowd(t, e, 100, func(i int) wire.ConnectPacket {
		return wire.ConnectPacket{Level: 4, Clean: i%2 == 0, ClientID: "greedy-" + strconv.Itoa(i)}
	})
	each(index(len(all)), func(i int) {
		refused := 0
		for round := range 4 {
			var filters []string
			for k := range 100 {
				filters = append(filters, fmt.Sprintf("%d/%d/%d%s", i, round, k, strings.Repeat("/level", 13)))
			}
			codes, err := all[i].subscribe(uint16(round+1), 1, filters...)
			if err != nil {
				t.Errorf("client %d: %v", i, err)
				return
			}
			for _, code := range codes {
				if code == wire.Unspecified {
					refused++
				}
			}
		}
		if refused < 400-256 {
			t.Errorf("client %d: %d of 400 subscriptions were refused", i, refused)
		}
	})
	comesIn(t, e)
	for _, c := range all {
		c.drop()
	}
	forget(t, e, all, "greedy-")
}

// subscriptionChurn subscribes and unsubscribes with a session whose record is large.
func subscriptionChurn(t *testing.T, e *target) {
	all := crowd(t, e, 4, func(i int) wire.ConnectPacket {
		return wire.ConnectPacket{Level: 4, ClientID: "churn-" + strconv.Itoa(i)}
	})
	until := time.Now().Add(2 * time.Second)
	each(index(len(all)), func(i int) {
		c := all[i]
		filters := make([]string, 250)
		for k := range filters {
			filters[k] = strconv.Itoa(k) + strings.Repeat("x", 250)
		}
		if _, err := c.subscribe(1, 1, filters...); err != nil {
			t.Errorf("client %d: %v", i, err)
			return
		}
		again := wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 2, Filters: []wire.Subscription{{Filter: "again"}}}, 4)
		again = wire.AppendUnsubscribe(again, &wire.UnsubscribePacket{ID: 3, Filters: []string{"again"}}, 4)
		burst := bytes.Repeat(again, 100)
		for time.Now().Before(until) {
			if c.nc.SetWriteDeadline(until) != nil {
				return
			}
			if _, err := c.nc.Write(burst); err != nil {
				return // it is slowed down
			}
		}
	})
	for _, c := range all {
		c.drop()
	}
	forget(t, e, all, "churn-")
}

// retainedFlood retains more than there is room for: in number, then in bytes. Then it clears what it left.
func retainedFlood(t *testing.T, e *target) {
	c := e.must(t, clean(4, "hoarder"))
	put := func(n int, payload []byte) {
		var burst []byte
		for i := range n {
			if burst = append(burst, publishFrame(4, "hoard/"+strconv.Itoa(i), payload, 0, 0, true)...); len(burst) > 1<<16 {
				if err := c.send(burst); err != nil {
					t.Fatal(err)
				}
				burst = burst[:0]
			}
		}
		if err := c.send(burst); err != nil {
			t.Fatal(err)
		}
		if err := c.ping(); err != nil {
			t.Fatal(err)
		}
	}
	put(12000, []byte("x"))
	put(12000, nil)
	put(400, bytes.Repeat([]byte("x"), 100000))
	comesIn(t, e)
	put(12000, nil)
}

// hoardQoS2 begins QoS 2 and never ends it: 3.1.1 knows no bound for that, MQTT 5 does.
func hoardQoS2(t *testing.T, e *target) {
	all := crowd(t, e, 40, func(i int) wire.ConnectPacket {
		return wire.ConnectPacket{Level: byte(4 + i%2), Clean: i%4 < 2, ClientID: "hoard-" + strconv.Itoa(i)}
	})
	each(index(len(all)), func(i int) {
		c := all[i]
		done := make(chan end, 1)
		go func() { done <- c.end(patience) }()
		var burst []byte
		for id := range 65535 {
			burst = append(burst, publishFrame(c.level, "hoard", nil, 2, uint16(id+1), false)...)
		}
		if c.send(burst) != nil {
			t.Logf("client %d was closed before it had said all", i)
		}
		if got := <-done; !got.closed || c.level == 5 && got.code != wire.ReceiveMaxExceeded && got.code != -1 {
			t.Errorf("client %d of level %d: %+v", i, c.level, got)
		}
	})
	forget(t, e, all, "hoard-")
}

// aliasHoard gives every alias the longest topic.
func aliasHoard(t *testing.T, e *target) {
	all := crowd(t, e, 100, func(int) wire.ConnectPacket { return clean(5, newName()) })
	each(all, func(c *client) {
		for alias := range byte(32) {
			p := packet(0x30, 5).str(topic, strings.Repeat("x", 65000)).props(func(p *body) { p.bytes(0x23, 0, alias+1) })
			if c.send(p.frame()) != nil {
				return // there was no room for it
			}
		}
	})
	pause(200 * time.Millisecond)
	comesIn(t, e)
}

// ackHoard takes QoS 1 messages and acknowledges all but the first, for ever.
func ackHoard(t *testing.T, e *target) {
	all := crowd(t, e, 20, func(int) wire.ConnectPacket { return clean(4, newName()) })
	until := time.Now().Add(2 * time.Second)
	each(all, func(c *client) {
		if _, err := c.subscribe(1, 1, "ack/"+c.nc.LocalAddr().String()); err != nil {
			t.Error(err)
			return
		}
		first := uint16(0)
		for time.Now().Before(until) {
			var burst []byte
			for i := range 100 {
				burst = append(burst, publishFrame(4, "ack/"+c.nc.LocalAddr().String(), nil, 1, uint16(i+1), false)...)
			}
			if c.send(burst) != nil {
				return
			}
			var acks []byte
			for range 200 {
				h, b, err := c.packet(100 * time.Millisecond)
				if err != nil {
					break
				}
				if h>>4 != wire.Publish {
					continue
				}
				n := 2 + int(b[0])<<8 + int(b[1])
				id := uint16(b[n])<<8 | uint16(b[n+1])
				if first == 0 {
					first = id
				} else if id != first {
					acks = wire.AppendAck(acks, wire.Puback, id, 0, 4)
				}
			}
			if c.send(acks) != nil {
				return
			}
		}
	})
}

// propertyFlood fills packets with properties: as large as there may be in PUBLISH and SUBSCRIBE, then more than there
// may be.
func propertyFlood(t *testing.T, e *target) {
	many := func(p *body) {
		for range 60 {
			p.bytes(0x26).str(text, "k").str(text, strings.Repeat("v", 4000))
		}
	}
	more := func(p *body) {
		for range 8000 {
			p.bytes(0x26).str(text, "k").str(text, "0123456789012345")
		}
	}
	tooMany := packet(0x30, 5).str(topic, "p").props(more).frame()
	publish := packet(0x30, 5).str(topic, "p").props(many).frame()
	subscribe := packet(0x82, 5).bytes(0, 1).props(many).str(topic, "q").bytes(0).frame() // nobody has to read much
	all := crowd(t, e, 20, func(int) wire.ConnectPacket { return clean(5, newName()) })
	each(all, func(c *client) {
		for range 10 {
			if err := c.sendWithin(3*patience, slices.Concat(publish, subscribe)); err != nil {
				t.Errorf("closed for properties: %v", err)
				return
			}
		}
		if err := c.ping(); err != nil {
			t.Errorf("after properties: %v", err)
		}
		if c.send(tooMany) == nil && !c.end(patience).closed {
			t.Error("8,000 properties are taken")
		}
	})
}
