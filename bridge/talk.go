// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"errors"
	"fmt"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

// talk is the driver of one device at work while its line is open: what it hears, what is asked and what for. One goroutine
// owns it, that of whoever owns the line, which hands in bytes and writes what it is given.
type talk struct {
	*line
	dec   devices.Decoder
	write func([]byte) // hands a request over to be written; the next one comes after wrote

	opened  time.Time
	valid   devices.Counts // at the last valid frame
	frames  uint64         // of this opening
	bytesAt time.Time      // last byte
	dog     watchdog
	ended   bool // End was called since the last byte

	now  *exchange // what goes on; nil: the line is free
	poll poller
}

// newTalk makes the driver of a line that was just opened.
func (l *line) newTalk() (*talk, error) {
	t := &talk{line: l, opened: time.Now(), dog: newWatchdog(l.b.cfg, l.b.drv)}
	var err error
	if t.dec, err = l.b.drv.New(l.b.cfg.Options); err != nil {
		return nil, driverError{fmt.Errorf("driver %s: %w", l.b.drv.Name, err)}
	}
	if l.b.inject != nil {
		t.dec = l.b.inject(t.dec)
	}
	l.b.presence.opened()
	if l.b.drv.Event {
		l.b.presence.set(online, "", "")
	} else {
		l.b.presence.set(offline, Silent, "no byte came since the port was opened")
	}
	t.poll = newPoller(l.b.cfg, l.b.drv, t.dec)
	return t, nil
}

// feed gives bytes to the driver.
func (t *talk) feed(p []byte, at time.Time) {
	t.bytesAt, t.ended = at, false
	t.dec.Feed(p, at, t.sample)
	t.b.presence.count(t.dec.Counts())
}

// sample takes one valid frame.
func (t *talk) sample(s devices.Sample) {
	if s.At.IsZero() {
		s.At = t.bytesAt
	}
	t.frames++
	t.valid = t.dec.Counts()
	t.dog.heard(s.At)
	t.b.presence.heard(s.At)
	t.b.presence.set(online, "", "")
	if s.Refusal != "" {
		t.refused(s)
		return
	}
	if s.Answer != "" {
		t.answered(s.Answer, s.Readings, s.At)
		return
	}
	t.answered("", t.measured(s), s.At)
}

func (t *talk) quiet() time.Duration {
	if p, ok := t.dec.(devices.Pacer); ok && p.Pause() > 0 {
		return p.Pause()
	}
	if t.b.drv.Text {
		return quietText
	}
	return quietFrame
}

// finish tells the driver that no byte follows, and who waits for an answer that there is none.
func (t *talk) finish(err error) {
	t.dec.End(t.sample)
	t.b.presence.count(t.dec.Counts())
	if e := new(port.Error); errors.As(err, &e) {
		t.abandon(refusal{e.Code, e.Text})
	}
}

// abandon tells who waits for an answer that there will be none.
func (t *talk) abandon(why refusal) {
	if t.now != nil && t.now.command != nil {
		t.b.answer(t.now.command.id, why, nil)
	}
	t.now = nil
}
