// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"sync"
	"time"
)

// rtuLine is a two-wire line at 9600 baud with Modbus slaves on it, in time that may be virtual: bytes take as long as they
// do, and what is sent at the same time is spoilt.
type rtuLine struct {
	char   time.Duration
	echo   bool // the adapter hears what it writes
	slaves map[byte]*slave

	mu       sync.Mutex
	rx       []byte
	wake     chan struct{} // holds one
	done     chan struct{}
	closed   bool
	busyTill time.Time // somebody's bytes are on the wire
	sending  *sending  // the last ones
	close    int       // requests of ours that came sooner than 3.5 characters after the last byte
	collided int
}

// sending is bytes on their way.
type sending struct {
	p     []byte
	spoil bool
	own   bool // of a slave: no request, though it may look like one
}

// slave is one device. It counts what it is asked and answers register 0 of each block with that number.
type slave struct {
	address byte
	delay   func(n int) time.Duration // before it answers; negative: it does not
	gaps    bool                      // it pauses in the middle of an answer
	drops   bool                      // what it is asked while it is busy is lost; else it waits

	mu    sync.Mutex
	asked []time.Time // each request that it got
	busy  time.Time
	set   map[int]uint16
}

func newRTULine(slaves ...*slave) *rtuLine {
	l := &rtuLine{char: time.Second * 10 / 9600, slaves: map[byte]*slave{}, wake: make(chan struct{}, 1), done: make(chan struct{})}
	for _, s := range slaves {
		s.set = map[int]uint16{}
		l.slaves[s.address] = s
	}
	return l
}

// Write puts a request of ours on the wire.
func (l *rtuLine) Write(p []byte) (int, error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return 0, os.ErrClosed
	}
	now := time.Now()
	if silence := now.Sub(l.busyTill); silence < 35*l.char/10 && !l.busyTill.IsZero() {
		l.close++
	}
	l.mu.Unlock()
	l.send(bytes.Clone(p), l.echo)
	return len(p), nil
}

// send puts bytes on the wire now; heard: we hear them.
func (l *rtuLine) send(p []byte, heard bool) { l.put(&sending{p: p}, heard) }

func (l *rtuLine) put(x *sending, heard bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.busyTill) && l.sending != nil { // both are spoilt
		x.spoil, l.sending.spoil = true, true
		l.collided++
	}
	took := time.Duration(len(x.p)) * l.char
	if end := now.Add(took); end.After(l.busyTill) {
		l.busyTill = end
	}
	l.sending = x
	time.AfterFunc(took, func() { l.arrived(x, heard) })
}

// arrived ends what was sent: we read it, and the slaves do.
func (l *rtuLine) arrived(x *sending, heard bool) {
	l.mu.Lock()
	p, spoilt := x.p, x.spoil
	if spoilt {
		p = bytes.Clone(p)
		for i := range p {
			p[i] ^= byte(0x55 + i)
		}
	}
	if heard {
		l.rx = append(l.rx, p...)
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	l.mu.Unlock()
	if len(p) < 8 || spoilt || x.own || !bytes.Equal(withCRC(p[:len(p)-2:len(p)-2]), p) {
		return
	}
	if s := l.slaves[p[0]]; s != nil {
		s.receive(l, p)
	}
}

// receive answers a request after the slave's own time.
func (s *slave) receive(l *rtuLine, p []byte) {
	if p[1] > 4 && p[1] != 6 && p[1] != 16 || p[1] <= 4 && len(p) != 8 || p[1] == 16 && len(p) == 8 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.drops && now.Before(s.busy) {
		return
	}
	n := len(s.asked)
	s.asked = append(s.asked, now)
	answer := s.answer(p, n)
	d := s.delay(n)
	if d < 0 {
		return
	}
	if now.Before(s.busy) {
		d += s.busy.Sub(now)
	}
	s.busy = now.Add(d)
	time.AfterFunc(d, func() {
		if s.gaps {
			l.put(&sending{p: answer[:3], own: true}, true)
			time.AfterFunc(12*time.Millisecond, func() { l.put(&sending{p: answer[3:], own: true}, true) })
			return
		}
		l.put(&sending{p: answer, own: true}, true)
	})
}

// answer gives block A at 0, block B at 100: the first register is the number of the request, the others tell where they are.
func (s *slave) answer(p []byte, n int) []byte {
	at, count := int(binary.BigEndian.Uint16(p[2:])), int(binary.BigEndian.Uint16(p[4:]))
	switch p[1] {
	case 6:
		s.set[at] = uint16(count)
		return p
	case 16:
		for i := range count {
			s.set[at+i] = binary.BigEndian.Uint16(p[7+2*i:])
		}
		return withCRC(bytes.Clone(p[:6]))
	}
	b := []byte{s.address, p[1], byte(2 * count)}
	for i := at; i < at+count; i++ {
		x := uint16(int(s.address)*200 + i)
		if y, ok := s.set[i]; ok {
			x = y
		} else if i%100 == 0 {
			x = uint16(n)
		}
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return withCRC(b)
}

// Read gives what has arrived.
func (l *rtuLine) Read(p []byte) (int, error) {
	for {
		l.mu.Lock()
		switch {
		case l.closed:
			l.mu.Unlock()
			return 0, os.ErrClosed
		case len(l.rx) > 0:
			n := copy(p, l.rx)
			l.rx = l.rx[n:]
			l.mu.Unlock()
			return n, nil
		}
		l.mu.Unlock()
		select {
		case <-l.wake:
		case <-l.done:
		}
	}
}

// Close ends a Read.
func (l *rtuLine) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.done)
	}
	return nil
}

func (*rtuLine) SetReadDeadline(time.Time) error  { return nil }
func (*rtuLine) SetWriteDeadline(time.Time) error { return nil }

// withCRC appends CRC-16/MODBUS, bit by bit.
func withCRC(p []byte) []byte {
	crc := uint16(0xffff)
	for _, x := range p {
		crc ^= uint16(x)
		for range 8 {
			crc = crc>>1 ^ 0xa001*(crc&1)
		}
	}
	return binary.LittleEndian.AppendUint16(p, crc)
}
