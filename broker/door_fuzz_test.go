// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"edged/broker"
	"edged/mqtt/wire"
)

// doorVerdict is what must become of a connection on which these bytes are sent after CONNECT.
type doorVerdict struct {
	closed bool
	code   byte // of the DISCONNECT in MQTT 5; 0: any, or none
	open   bool // it must still answer
}

// judge looks at the packets as wire does. What depends on more than the packet is left open.
func judge(b []byte, version byte, limits broker.Limits) doorVerdict {
	for len(b) > 0 {
		h, body, size, need, f := wire.Frame(b)
		switch {
		case f != nil:
			return doorVerdict{closed: true, code: f.Code}
		case need > limits.Packet:
			return doorVerdict{closed: true, code: wire.TooLarge}
		case size == 0:
			return doorVerdict{}
		}
		b = b[size:]
		kind := h >> 4
		if kind == wire.Publish {
			var m wire.Inbound
			if f = wire.ReadPublish(h, body, version, false, time.Now().Unix(), nil, &m); f == nil {
				if m.Alias > 0 || bytes.Count(m.Topic, []byte{'/'}) >= limits.TopicLevels {
					return doorVerdict{}
				}
				continue
			}
		} else if f = wire.Check(h, body, version); f == nil {
			switch kind {
			case wire.Disconnect, wire.Auth:
				return doorVerdict{closed: true}
			}
			continue
		}
		return doorVerdict{closed: true, code: f.Code}
	}
	return doorVerdict{open: true}
}

// FuzzDoor sends any bytes after a CONNECT: nothing panics or hangs, and the connection ends for what [wire.Check] and
// [wire.ReadPublish] refuse, with their code, and for nothing else.
func FuzzDoor(f *testing.F) {
	for _, x := range hostile() {
		if x.version > 0 && len(x.send) < 1000 {
			f.Add(x.version, []byte(x.send))
		}
	}
	for version := byte(3); version <= 5; version++ {
		m := wire.Message{Topic: "a/b", Payload: []byte("x"), Props: []byte("\x26\x00\x01k\x00\x01v")}
		whole := wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "a/#", QoS: 2}}}, version)
		for qos := byte(0); qos < 3; qos++ {
			whole = wire.AppendPublish(whole, &m, version, qos, uint16(7*qos), false, qos == 1, nil, 0)
		}
		f.Add(version, wire.AppendAck(whole, wire.Pubrel, 14, 0, version))
	}
	var log strings.Builder
	s := newSite(f, func(s *site) { s.log = slog.New(slog.NewTextHandler(&log, nil)) })
	f.Fuzz(func(t *testing.T, version byte, b []byte) {
		version = 3 + version%3
		want := judge(b, version, s.cfg.Limits)
		nc, err := s.Dial(broker.Identity{Publish: []string{"#"}, Subscribe: []string{"#"}})
		if err != nil {
			t.Fatal(err)
		}
		c := newPeer(t, nc)
		c.connect(wire.ConnectPacket{Level: version, Clean: true, ClientID: "fuzz"})
		got := make(chan doorVerdict, 1)
		go func() { got <- c.verdict(want.open) }()
		if _, err := nc.Write(b); err == nil && want.open {
			if _, err := nc.Write([]byte{wire.Pingreq << 4, 0}); err != nil {
				t.Errorf("version %d, % x: closed", version, b)
			}
		}
		if !want.open && !want.closed {
			c.drop()
			<-got
			return
		}
		g := <-got
		if g.closed != want.closed || g.open != want.open || version == 5 && want.code != 0 && g.code != want.code {
			t.Errorf("version %d, % x: got %+v, want %+v", version, b, g, want)
		}
		if strings.Contains(log.String(), "panic") {
			t.Fatalf("version %d, % x:\n%s", version, b, log.String())
		}
	})
}

// verdict reads until the connection ends, or, where it is to stay open, until a PINGREQ at the end is answered.
func (c *peer) verdict(open bool) (v doorVerdict) {
	for {
		h, body, err := c.packet(patience)
		switch {
		case err != nil:
			v.closed = isEnd(err)
			return v
		case h>>4 == wire.Disconnect && len(body) > 0:
			v.code = body[0]
		case h>>4 == wire.Pingresp && open:
			v.open = true // there may have been other PINGREQs before; it is enough that it answers
			return v
		}
	}
}
