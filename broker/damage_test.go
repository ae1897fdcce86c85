// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"edged/broker"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

// everyByte names the environment variable that makes the broker deliver its queue after each flipped byte. Else it does
// after every seventh, and only starts after the others.
const everyByte = "EDGED_EVERY_BYTE"

// stored is what the disk of a broker holds that was stopped in order.
type stored struct {
	files  map[string][]byte
	owed   int    // messages that session "p" is owed: "0 …", "1 …", …
	kept   int    // retained messages
	text   string // what follows the number in their payloads
	newest string
	end    int // of what is in the newest segment
}

// store runs a broker that serves everybody a little.
func store(t *testing.T, owed int, text string) *stored {
	s := newSite(t, nil)
	sub := inside(t, s.Broker, kept())
	sub.subscribe(1, 2, "t", "other/+")
	sub.disconnectAfterPing()
	other := inside(t, s.Broker, wire.ConnectPacket{Level: 5, ClientID: "other", SessionExpiry: 1000})
	other.subscribe(1, 1, "other/#")
	other.disconnectAfterPing()
	pub := s.clean("pub")
	x := &stored{files: map[string][]byte{}, owed: owed, kept: 3, text: text}
	for i := range owed {
		pub.publish("t", strconv.Itoa(i)+text, 1, uint16(i+1))
		pub.wantAck(wire.Puback, uint16(i+1))
	}
	for i := range x.kept {
		pub.retain("kept/"+strconv.Itoa(i), "x", 9)
	}
	pub.disconnect()
	s.stop()
	for _, name := range s.disk.Files() {
		s.disk.Edit(name, func(b []byte) []byte { x.files[name] = b; return b })
		if strings.HasSuffix(name, ".seg") {
			x.newest = name
		}
	}
	b := x.files[x.newest]
	for x.end = len(b); x.end > 0 && b[x.end-1] == 0; x.end-- {
	}
	return x
}

// disk is a new one with the files, of which the newest segment is changed.
func (x *stored) disk(change func(b []byte) []byte) *journaltest.Disk {
	d := journaltest.New()
	for _, name := range slices.Sorted(maps.Keys(x.files)) {
		d.Edit(name, func([]byte) []byte {
			b := slices.Clone(x.files[name])
			if name == x.newest {
				b = change(b)
			}
			return b
		})
	}
	return d
}

// start opens a broker on a disk, which may never be refused.
func (x *stored) start(t *testing.T, d *journaltest.Disk, what string) *broker.Broker {
	t.Helper()
	b, err := broker.Open(broker.Defaults(), "state", nil, broker.Options{FS: d})
	if err != nil {
		t.Fatalf("%s: the start was refused: %v", what, err)
	}
	return b
}

// deliver runs the broker and returns what session "p" is sent, in order, and then that a message still gets through.
func (x *stored) deliver(t *testing.T, b *broker.Broker, what string) (got []int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: stop: %v", what, err)
		}
	}()
	c := inside(t, b, kept())
	defer c.drop()
	c.subscribe1(t, "end")
	c.publish("end", "end", 0, 0)
	for {
		h, body, err := c.packet(patience)
		if err != nil {
			t.Fatalf("%s: after %v: %v", what, got, err)
		}
		if h>>4 == wire.Puback {
			continue
		}
		m := c.read(h, body)
		if m.qos == 1 {
			c.ack(wire.Puback, m.id)
		}
		if m.topic == "end" {
			if m.payload == "end" { // it overtakes what is in the journal
				c.publish("end", "after", 1, 7)
				continue
			}
			return got
		}
		n, err := strconv.Atoi(strings.SplitN(m.payload, " ", 2)[0])
		if err != nil {
			t.Fatalf("%s: got %.40q", what, m.payload)
		}
		got = append(got, n)
	}
}

// inside connects a client of this process.
func inside(t *testing.T, b *broker.Broker, p wire.ConnectPacket) *peer {
	t.Helper()
	nc, err := b.Dial(broker.Identity{ClientID: p.ClientID, Publish: []string{"#"}, Subscribe: []string{"#"}})
	if err != nil {
		t.Fatal(err)
	}
	c := &peer{t: t, nc: nc}
	c.connect(p)
	return c
}

// subscribe1 subscribes while deliveries come, which it leaves to whoever reads next.
func (c *peer) subscribe1(t *testing.T, filter string) {
	t.Helper()
	p := wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: filter, QoS: 1}}}
	c.send(wire.AppendSubscribe(nil, &p, c.version))
	var early []byte
	for {
		h, body, err := c.packet(patience)
		if err != nil {
			t.Fatal(err)
		}
		if h>>4 == wire.Suback {
			c.buf = append(early, c.buf...)
			return
		}
		early = append(append(early, h), wire.AppendLength(nil, len(body))...)
		early = append(early, body...)
	}
}

// ascending tells whether numbers come in order, each once.
func ascending(got []int) bool {
	return slices.IsSorted(got) && len(slices.Compact(slices.Clone(got))) == len(got)
}

// Whatever single byte of the state rots: the broker starts, has lost at most the message of the damaged record, says so,
// and has set a copy aside.
func TestEveryByteOfTheStateFlipped(t *testing.T) {
	t.Parallel()
	x := store(t, 8, " payload")
	if x.end > 4000 || x.end < 500 {
		t.Fatalf("%d bytes of state, meant to be small", x.end)
	}
	silent := 0
	for at := range x.end {
		what := fmt.Sprintf("byte %d of %d", at, x.end)
		d := x.disk(func(b []byte) []byte { b[at] ^= 0x55; return b })
		b := x.start(t, d, what)
		if b.Status().Alarms["E603"] == "" {
			silent++
		} else if !slices.ContainsFunc(d.Files(), func(n string) bool { return strings.HasSuffix(n, ".damaged") }) {
			t.Errorf("%s: no copy was set aside", what)
		}
		lost := x.kept - len(b.Retained("kept/#"))
		for _, id := range []string{"p", "other"} {
			if _, ok := b.Session(id); !ok {
				t.Errorf("%s: session %q is gone", what, id)
			}
		}
		if at%7 != 0 && os.Getenv(everyByte) == "" {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got := x.deliver(t, b, what)
		if lost += x.owed - len(got); lost > 1 || !ascending(got) {
			t.Errorf("%s: %d messages lost, got %v", what, lost, got)
		}
	}
	// The record of the stop and the mark before it are the last; without them the end looks as a crash leaves it.
	if silent > 2*16 {
		t.Errorf("%d flipped bytes were not told of", silent)
	}
}

// A tail that is cut off or zeroed anywhere: the broker starts, with all that stands before it.
func TestTailsOfTheStateLost(t *testing.T) {
	t.Parallel()
	x := store(t, 40, " "+strings.Repeat("payload ", 40))
	for at := 0; at < x.end; at += 512 {
		for how, change := range map[string]func(b []byte) []byte{
			"cut off": func(b []byte) []byte { return b[:at] },
			"zeroed":  func(b []byte) []byte { clear(b[at:]); return b },
		} {
			what := fmt.Sprintf("%s from %d of %d on", how, at, x.end)
			b := x.start(t, x.disk(change), what)
			got := x.deliver(t, b, what)
			whole := 0 // messages that stand before the tail
			for whole < x.owed && strings.Contains(string(x.files[x.newest][:at]), strconv.Itoa(whole)+x.text) {
				whole++
			}
			if !ascending(got) || len(got) > 0 && got[len(got)-1] != len(got)-1 || len(got) < whole-1 {
				t.Errorf("%s: got %v", what, got)
			}
		}
	}
}
