// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// Sessions whose queues fill the memory together do not wait for each other: whichever begins to acknowledge gets all that
// it is owed, whether its queue has much in it or has found no room, and publishers go on meanwhile.
func TestSessionsThatFillTheMemoryGoOnOneByOne(t *testing.T) {
	t.Parallel()
	const crowd, messages = 12, 60
	for _, reader := range []int{0, crowd - 1} {
		t.Run("reader "+strconv.Itoa(reader), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, func(s *site) { s.cfg.Limits.Memory = 8 << 20 }) // 1 MiB for what waits
			all := make([]*peer, crowd)
			for i := range all {
				p := five("slow-" + strconv.Itoa(i))
				p.Clean, p.SessionExpiry, p.ReceiveMaximum = false, 3600, 1
				all[i] = s.connect(p, false)
				all[i].subscribe(1, 1, "t")
			}
			pub := s.clean("pub")
			filler := strings.Repeat("x", 50_000)
			publish := func(from, to int) {
				for n := from; n < to; n++ {
					began := time.Now()
					pub.publish("t", strconv.Itoa(n)+" "+filler, 1, uint16(n+1))
					pub.wantAck(wire.Puback, uint16(n+1))
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("message %d was acknowledged after %v", n, took)
					}
				}
			}
			publish(0, messages)
			c := all[reader]
			for n := range messages {
				m := c.wantMessage()
				if !strings.HasPrefix(m.payload, strconv.Itoa(n)+" ") {
					t.Fatalf("got %.8q, want %d", m.payload, n)
				}
				c.ack(wire.Puback, m.id)
			}
			publish(messages, messages+5)
			for n := range 5 {
				m := c.wantMessage()
				if !strings.HasPrefix(m.payload, strconv.Itoa(messages+n)+" ") {
					t.Fatalf("got %.8q, want %d", m.payload, messages+n)
				}
				c.ack(wire.Puback, m.id)
			}
			for i, o := range slices.Delete(all, reader, reader+1) {
				m := o.wantMessage()
				if !strings.HasPrefix(m.payload, "0 ") {
					t.Errorf("client %d: got %.8q first", i, m.payload)
				}
			}
		})
	}
}
