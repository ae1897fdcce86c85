// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// heap is how many bytes are in use.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A long backlog lies on disk: what many offline sessions are owed takes no memory, a start with it is quick, and it comes
// in order. The disk is a real one, for the one in memory would be measured too.
func TestBacklogLiesOnDisk(t *testing.T) { // not parallel: it measures
	s := newSite(t, func(s *site) { s.opts.FS, s.dir = nil, t.TempDir() })
	const all, sessions = 100000, 20
	for i := range sessions {
		c := s.connect(wire.ConnectPacket{Level: 4, ClientID: fmt.Sprintf("away%d", i)}, false)
		c.subscribe(1, 1, "t/#")
		c.disconnectAfterPing()
	}
	pub := s.clean("pub")
	filler := strings.Repeat("x", 58)
	before := heap()
	var b []byte
	for i := 0; i < all; i += 1000 {
		b = b[:0]
		for k := i; k < i+1000; k++ {
			b = append(b, pub.frame("t/a", fmt.Sprintf("%06d%s", k, filler), 1, uint16(k%60000+1), false)...)
		}
		pub.send(b)
		for k := i; k < i+1000; k++ {
			pub.wantAck(wire.Puback, uint16(k%60000+1))
		}
	}
	more := heap() - before
	t.Logf("%d messages for %d sessions each: %d KiB more memory, %d bytes of journal a message", all, sessions, more>>10,
		s.Status().JournalBytes/all)
	if more > 16<<20 {
		t.Errorf("%d bytes more memory", more)
	}
	s.stop()
	began := time.Now()
	s.start()
	t.Logf("started in %v", time.Since(began))
	if took := time.Since(began); took > 2*time.Minute { // the promise is 2 s; with the race detector, on a busy machine, far more is no defect
		t.Errorf("the start took %v", took)
	}
	c := s.connect(wire.ConnectPacket{Level: 4, ClientID: "away7"}, true)
	for i := range all {
		m := c.wantMessage()
		c.ack(wire.Puback, m.id)
		if n, err := strconv.Atoi(m.payload[:6]); err != nil || n != i {
			t.Fatalf("got %q, want %d", m.payload, i)
		}
	}
	c.quiet()
	s.wantOwed("away8", all)
}
