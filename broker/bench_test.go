// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// BenchmarkDelivery measures a message from a publisher to n subscribers over loopback TCP, with the journal on a real
// disk.
func BenchmarkDelivery(b *testing.B) {
	for _, n := range []int{1, 100} {
		for qos := range byte(3) {
			b.Run(fmt.Sprintf("1 to %d QoS %d", n, qos), func(b *testing.B) {
				s := newSite(b, func(s *site) { s.opts = broker.Options{}; s.dir = b.TempDir() })
				pub := s.clean("pub")
				subs := make([]*peer, n)
				for i := range subs {
					subs[i] = s.clean(fmt.Sprint("sub", i))
					subs[i].subscribe(1, qos, "bench/+")
				}
				const window = 50
				var out []byte
				for i := range window {
					out = append(out, pub.frame("bench/x", "0123456789012345678901234567890123456789012345678901234567890123", qos, uint16(i+1), false)...)
				}
				for i := 0; b.Loop(); i++ {
					if i%window == 0 {
						benchRound(pub, subs, out, qos, window)
					}
				}
			})
		}
	}
}

func benchRound(pub *peer, subs []*peer, out []byte, qos byte, window int) {
	pub.send(out)
	answer := func(c *peer, want, with byte, id *uint16) {
		_, body := c.want(want)
		got, _ := wire.ReadAck(body, 4)
		if *id = got; with != 0 {
			c.ack(with, got)
		}
	}
	var id uint16
	for range window {
		switch qos {
		case 1:
			answer(pub, wire.Puback, 0, &id)
		case 2:
			answer(pub, wire.Pubrec, wire.Pubrel, &id)
		}
	}
	for _, c := range subs {
		for range window {
			m := c.wantMessage()
			switch qos {
			case 1:
				c.ack(wire.Puback, m.id)
			case 2:
				c.ack(wire.Pubrec, m.id)
			}
		}
	}
	if qos < 2 {
		return
	}
	for range window {
		answer(pub, wire.Pubcomp, 0, &id)
	}
	for _, c := range subs {
		for range window {
			answer(c, wire.Pubrel, wire.Pubcomp, &id)
		}
	}
}
