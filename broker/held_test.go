// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"edged/broker/journal"
	"edged/broker/journal/journaltest"
	"edged/mqtt/wire"
)

func away() wire.ConnectPacket { return wire.ConnectPacket{Level: 4, ClientID: "away"} }

// breakDisk makes every write fail.
func (s *site) breakDisk() {
	s.disk.SetFault(func(op journaltest.Op) error {
		if op.Kind == "write" || op.Kind == "datasync" || op.Kind == "create" || op.Kind == "rename" {
			return errors.New("input/output error")
		}
		return nil
	})
}

// serves checks that clients which need no disk notice nothing of it.
func (s *site) serves(sub *peer) {
	s.t.Helper()
	began := time.Now()
	c := s.connect(wire.ConnectPacket{Level: 4, Clean: true, ClientID: "passer-by"}, false)
	c.subscribe(1, 1, "echo")
	c.publish("echo", "0", 0, 0)
	c.wantPayload("0")
	c.publish("echo", "1", 1, 2)
	h, _, err := c.packet(patience)
	second, _, err2 := c.packet(patience)
	if err := errors.Join(err, err2); err != nil || h>>4+second>>4 != wire.Publish+wire.Puback {
		s.t.Errorf("packets %x and %x, %v; want the message and its PUBACK", h, second, err)
	}
	c.quiet()
	sub.quiet()
	c.disconnect()
	if took := time.Since(began); took > 2*time.Second {
		s.t.Errorf("clients that need no disk were served within %v", took)
	}
}

// While the disk takes nothing, live subscribers get everything at once, of QoS 1 too, and only acknowledgements wait.
func TestFailingDiskServesLiveClients(t *testing.T) {
	t.Parallel()
	for name, breaks := range map[string]func(s *site){
		"failing":   (*site).breakDisk,
		"read-only": func(s *site) { s.disk.SetReadOnly(true) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			gone := s.connect(away(), false)
			gone.subscribe(1, 1, "t")
			gone.disconnectAfterPing()
			live := s.connect(kept(), false)
			live.subscribe(1, 1, "t")
			pub := s.clean("pub")
			breaks(s)
			pub.send(pub.frame("t", "0", 1, 1, true))
			live.wantPayload("0")
			eventually(t, "E602", func() bool { return s.Status().Alarms["E602"] != "" })
			const n = 300
			for i := 1; i < n; i++ {
				pub.send(pub.frame("t", strconv.Itoa(i), 1, uint16(i+1), true))
				live.wantPayload(strconv.Itoa(i))
			}
			s.serves(live)
			pub.quiet() // PINGRESP, and no PUBACK before it
			s.disk.SetFault(nil)
			s.disk.SetReadOnly(false)
			for i := range n {
				pub.wantAck(wire.Puback, uint16(i+1))
			}
			eventually(t, "the alarm is over", func() bool { return s.Status().Alarms["E602"] == "" })
			live.quiet()
			s.crash()
			gone = s.connect(away(), true)
			for i := range n {
				gone.wantPayload(strconv.Itoa(i))
			}
		})
	}
}

// A disk that fails for long costs a bounded memory: then publishers who need it wait, and nobody else.
func TestFailingDiskHoldsBackWhenMemoryIsFull(t *testing.T) {
	s := newSite(t, nil)
	gone := s.connect(away(), false)
	gone.subscribe(1, 1, "t")
	gone.disconnectAfterPing()
	live := s.clean("live")
	live.subscribe(1, 0, "q")
	pub := s.clean("pub")
	s.breakDisk()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	big := strings.Repeat("x", 100_000)
	sent := pub.flood(pub.frame("t", big, 1, 1, false))
	if sent < 4<<20 || sent > 24<<20 { // 4 MiB wait for the disk, the rest in the sockets' buffers
		t.Errorf("%d MiB were taken", sent>>20)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("%d MiB more in memory", grown>>20)
	}
	s.serves(live)
	s.disk.SetFault(nil)
	eventually(t, "it goes on", func() bool { _, _, err := pub.packet(time.Second); return err == nil })
}

// flood sends a frame again and again until the broker takes no byte for a while, and returns how many it took.
func (c *peer) flood(frame []byte) (sent int) {
	c.t.Helper()
	for full := 0; full < 5 && sent < 60<<20; {
		if err := c.nc.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
			c.t.Fatal(err)
		}
		n, err := c.nc.Write(frame[sent%len(frame):])
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal(err)
		}
		if sent += n; n > 0 {
			full = 0
		} else {
			full++
		}
	}
	return sent
}

// A disk that hangs is told of, live clients do not notice it, and the broker stops all the same.
func TestHangingDiskHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	gone := s.connect(away(), false)
	gone.subscribe(1, 1, "t")
	gone.disconnectAfterPing()
	live := s.connect(kept(), false)
	live.subscribe(1, 1, "t")
	pub := s.clean("pub")
	g := newGate(s.disk)
	defer close(g.open)
	pub.publish("t", "x", 1, 1)
	live.wantPayload("x")
	live.send([]byte{wire.Pingreq << 4, 0}) // before anybody knows that the disk hangs
	eventually(t, "E602", func() bool { return s.Status().Alarms["E602"] != "" })
	live.want(wire.Pingresp)
	s.serves(live)
	pub.publish("t", "y", 1, 2)
	live.wantPayload("y")
	pub.quiet()
	began := time.Now()
	s.cancel()
	s.cancel = nil
	err := <-s.ended
	if took := time.Since(began); took > 5*time.Second || err == nil || !strings.Contains(err.Error(), "E602") {
		t.Errorf("the broker stopped within %v: %v", took, err)
	}
}

// A full disk takes what is acknowledged to it, gives the room back, and lets publishers go on by itself.
func TestFullDiskIsDrainedBySubscribers(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.disk.SetLimit(5*journal.SegmentSize + 1<<20) })
	gone := s.connect(away(), false)
	gone.subscribe(1, 1, "t")
	gone.disconnectAfterPing()
	live := s.clean("live")
	live.subscribe(1, 1, "q")
	pub := s.clean("pub")
	acked := 0
	big := strings.Repeat("x", 60_000)
	for ; ; acked++ {
		pub.publish("t", strconv.Itoa(acked)+" "+big, 1, uint16(acked+1))
		if _, _, err := pub.packet(time.Second); err != nil {
			break
		}
		if acked > 1000 {
			t.Fatal("a full disk takes all")
		}
	}
	if s.Status().Alarms["E601"] == "" {
		t.Fatalf("alarms: %v", s.Status().Alarms)
	}
	s.serves(live)
	// The subscriber is back, on the full disk, takes all, and so makes room.
	gone = s.connect(away(), true)
	for i := range acked {
		m := gone.wantMessage()
		if !strings.HasPrefix(m.payload, strconv.Itoa(i)+" ") {
			t.Fatalf("got %.8q, want %d", m.payload, i)
		}
		gone.ack(wire.Puback, m.id)
	}
	pub.wantAck(wire.Puback, uint16(acked+1))
	gone.wantMessage()
	eventually(t, "E601 is over", func() bool { return s.Status().Alarms["E601"] == "" })
	if n := s.Status().Dropped; n > 0 {
		t.Errorf("%d messages were dropped", n)
	}
}

// A full disk is let go on within 5 s of space, with nothing lost, also when others free it and the broker is killed before.
func TestFullDiskRecoversWithSpace(t *testing.T) {
	t.Parallel()
	const limit = 3*journal.SegmentSize + 1<<20
	s := newSite(t, func(s *site) { s.disk.SetLimit(limit) })
	gone := s.connect(away(), false)
	gone.subscribe(1, 1, "t")
	gone.disconnectAfterPing()
	pub := s.clean("pub")
	acked := 0
	big := strings.Repeat("x", 60_000)
	for full := false; !full; {
		pub.publish("t", strconv.Itoa(acked)+" "+big, 1, uint16(acked+1))
		if _, _, err := pub.packet(time.Second); err != nil {
			full = true
		} else {
			acked++
		}
	}
	s.crash()
	eventually(t, "E601", func() bool { return s.Status().Alarms["E601"] != "" })
	pub = s.clean("pub")
	pub.publish("t", "last", 1, 1)
	if h, _, err := pub.packet(500 * time.Millisecond); err == nil {
		t.Fatalf("packet type %d on a full disk", h>>4)
	}
	s.disk.SetLimit(0)
	began := time.Now()
	pub.wantAck(wire.Puback, 1)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("acknowledged %v after there was space", took)
	}
	gone = s.connect(away(), true)
	for i := range acked {
		m := gone.wantMessage()
		if !strings.HasPrefix(m.payload, strconv.Itoa(i)+" ") {
			t.Fatalf("got %.8q, want %d", m.payload, i)
		}
		gone.ack(wire.Puback, m.id)
	}
}
