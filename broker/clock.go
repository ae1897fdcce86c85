// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"encoding/binary"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
	"edged/broker/session"
)

// The age of messages is told by a clock of our own, since the machine's may be set by years: it goes on while edged runs,
// and over a restart by as much as the machine was up meanwhile. How long a machine was switched off nobody knows for
// sure, so that does not count: what waits may grow older than it should, but is never given up too soon.

// clock counts milliseconds.
type clock struct {
	base  int64     // when it was started
	start time.Time // its monotonic part counts
	boot  string
	pos   journal.Pos // of its latest record
	at    int64       // and what that says
}

// clockEvery is how often the journal learns how late it is, at most.
const clockEvery = 10 * time.Minute

func (c *clock) now() int64 { return c.base + time.Since(c.start).Milliseconds() }

// ticks counts the nanoseconds of this run, likewise.
func (b *Broker) ticks() int64 { return int64(time.Since(b.clock.start)) }

// clockRecord is the body of a record of the clock: what it showed, how long the machine was up, and since which boot.
type clockRecord struct {
	at, up int64 // milliseconds
	boot   string
}

func (r *clockRecord) encode() []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(r.at))
	return append(binary.LittleEndian.AppendUint64(b, uint64(r.up)), r.boot...)
}

func decodeClock(b []byte) (r clockRecord, ok bool) {
	if len(b) < 16 {
		return r, false
	}
	return clockRecord{int64(binary.LittleEndian.Uint64(b)), int64(binary.LittleEndian.Uint64(b[8:])), string(b[16:])}, true
}

// replayed gathers what the journal says of the clock.
type replayed struct {
	clockRecord
	newest int64 // stamp of a message
}

func (x *replayed) take(r journal.Record) {
	switch r.Kind {
	case session.KindClock:
		if c, ok := decodeClock(r.Body); ok {
			x.clockRecord = c
		}
	case session.KindMessage:
		if at, ok := session.Stamp(r.Body); ok {
			x.newest = max(x.newest, at)
		}
	}
}

// newClock goes on from what the journal says; boot and up are those of the machine.
func newClock(x *replayed, boot string, up int64) *clock {
	c := &clock{base: x.at, start: time.Now(), boot: boot}
	switch {
	case x.at == 0:
		c.base = time.Now().UnixMilli()
	case boot != "" && boot == x.boot && up > x.up:
		c.base += up - x.up
	}
	c.base = max(c.base, x.newest)
	return c
}

// machineTime is the present boot's name and how many milliseconds the machine has been up.
func machineTime() (boot string, up int64) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(b)), ts.Nano() / int64(time.Millisecond)
}

// recordClock tells the journal how late it is, where that is due: it lies in a segment up to gen, or is old while other
// things were written.
func (b *Broker) recordClock(gen uint64) {
	c := b.clock
	end := b.journal.End()
	if c.pos != 0 && c.pos.Gen() > gen && (end <= c.pos+clockBytes || c.now()-c.at < clockEvery.Milliseconds()) {
		return
	}
	_, up := machineTime()
	c.at = c.now()
	c.pos = b.journal.Append(session.KindClock, (&clockRecord{c.at, up, c.boot}).encode())
}

// clockBytes is more than a record of the clock and its commit take.
const clockBytes = 256
