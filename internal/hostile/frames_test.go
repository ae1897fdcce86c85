// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// badFrames breaks the rules of WebSockets (RFC 6455, 5), before CONNECT and after it. A CONNECT in many fragments with
// control frames between them breaks none.
func badFrames(t *testing.T, e *target) {
	connect := wire.AppendConnect(nil, &wire.ConnectPacket{Level: 4, Clean: true, ClientID: newName()})
	unmasked := append([]byte{binaryFrame, byte(len(connect))}, connect...)
	for name, b := range map[string][]byte{
		"unmasked":                        unmasked,
		"text":                            frameOf(0x81, connect),
		"a reserved opcode":               frameOf(0x83, connect),
		"a reserved control opcode":       frameOf(0x8b, nil),
		"reserved bits":                   frameOf(0xf2, connect),
		"a continuation of nothing":       frameOf(0x80, connect),
		"another message in the middle":   append(frameOf(0x02, connect[:4]), frameOf(binaryFrame, connect[4:])...),
		"a control frame of 126 bytes":    frameOf(pingFrame, make([]byte, 126)),
		"a fragmented ping":               frameOf(0x09, []byte("x")),
		"a length with its highest bit":   {binaryFrame, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0},
		"a close frame with half a code":  frameOf(closeFrame, []byte{3}),
		"a close frame with a wrong code": frameOf(closeFrame, []byte{0, 1}),
		"a close frame that is no text":   frameOf(closeFrame, []byte{3, 0xe8, 0xff}),
		"HTTP":                            []byte("GET / HTTP/1.1\r\n\r\n"),
		"a packet that is none":           frameOf(binaryFrame, []byte{0xf0, 0}),
	} {
		for _, after := range []bool{false, true} {
			c, err := e.dial()
			if err != nil {
				t.Fatal(err)
			}
			if after {
				if code, err := c.connect(clean(4, newName())); code != 0 || err != nil {
					t.Fatalf("CONNACK %d, %v", code, err)
				}
			}
			if _, err := c.raw.Write(b); err == nil && !c.end(patience/4).closed {
				t.Errorf("%s (after CONNECT: %v): the connection is still open", name, after)
			}
			c.drop()
		}
	}
	c, err := e.dial()
	if err != nil {
		t.Fatal(err)
	}
	defer c.drop()
	var fragments []byte
	for i := range connect {
		first := byte(0)
		switch i {
		case 0:
			first = 0x02
		case len(connect) - 1:
			first = 0x80
		}
		fragments = append(append(fragments, frameOf(first, connect[i:i+1])...), frameOf(pingFrame, []byte("between"))...)
	}
	if _, err := c.raw.Write(fragments); err != nil {
		t.Fatal(err)
	}
	if h, body, err := c.packet(patience); err != nil || !bytes.Equal(body, []byte{0, 0}) || h>>4 != wire.Connack {
		t.Errorf("a CONNECT in fragments: packet type %d % x, %v", h>>4, body, err)
	}
	if err := c.ping(); err != nil {
		t.Errorf("after a CONNECT in fragments: %v", err)
	}
}

// frameClaims are sockets that announce frames of 2^62 bytes, before CONNECT and after it, and then send little.
func frameClaims(t *testing.T, e *target) {
	head := frameHead(binaryFrame, 1<<62)
	all := hold(t, e, 200, func(int) []byte { return nil })
	for _, c := range all {
		if _, err := c.raw.Write(slices.Concat(head, []byte{0x10, 0xff, 0x7f})); err != nil {
			t.Error(err)
		}
	}
	in := crowd(t, e, 100, func(int) wire.ConnectPacket { return clean(4, newName()) })
	large := append([]byte{0x30}, wire.AppendLength(nil, 200_000)...)
	for _, c := range in {
		if _, err := c.raw.Write(slices.Concat(head, large, make([]byte, 1000))); err != nil {
			t.Error(err)
		}
	}
	for range 5 {
		comesIn(t, e)
		pause(100 * time.Millisecond)
	}
}

// controlFlood sends pings that are to be answered, and empty fragments, and reads nothing.
func controlFlood(t *testing.T, e *target) {
	all := crowd(t, e, 8, func(int) wire.ConnectPacket { return clean(4, newName()) })
	until := time.Now().Add(time.Second)
	pings := bytes.Repeat(frameOf(pingFrame, make([]byte, 125)), 500)
	empty := append(frameOf(0x02, nil), bytes.Repeat(frameOf(0x00, nil), 5000)...)
	each(index(len(all)), func(i int) {
		burst := pings
		if i%2 == 0 {
			burst = empty
		}
		for k := 0; time.Now().Before(until); k++ {
			if k == 1 && i%2 == 0 {
				burst = empty[6:] // the first fragment has begun the message
			}
			if all[i].raw.SetWriteDeadline(until) != nil {
				return
			}
			if _, err := all[i].raw.Write(burst); err != nil {
				return // it is slowed down, or closed
			}
		}
	})
	comesIn(t, e)
}
