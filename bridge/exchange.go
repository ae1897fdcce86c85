// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"edged/devices"
)

// exchange is a request that was given to the device and its answer, or the next one of a command that sets several
// things.
type exchange struct {
	request  devices.Request
	command  *command          // nil: a poll
	step     int               // of the command's settings, or of the round of polling
	answers  []devices.Reading // of the command so far
	begun    time.Time
	deadline time.Time // for the answer; zero: it is being written
	early    bool      // the answer was read before the write was reported
	denied   string    // that answer is a refusal: why
	confirms bool      // the setting was carried out, and is read back
	told     bool      // its value came
}

// begin executes a command.
func (t *talk) begin(c command) {
	if now := time.Now(); now.After(c.until) {
		t.b.answer(c.id, expired(c.until, now), nil)
		return
	}
	t.now = &exchange{command: &c}
	t.request()
}

// request writes the next setting of the command that goes on.
func (t *talk) request() {
	x := t.now
	s := x.command.settings[x.step]
	commander, ok := t.dec.(devices.Commander)
	if !ok {
		t.end(refusal{text: "this device takes no commands"})
		return
	}
	r, err := commander.Command(s.name, s.value)
	if err != nil {
		t.end(refusal{text: fmt.Sprintf("%s: %v", s.name, err)})
		return
	}
	t.give(r)
}

// give hands a request to the writer.
func (t *talk) give(r devices.Request) {
	t.now.request, t.now.begun, t.now.deadline = r, time.Now(), time.Time{}
	t.now.early, t.now.denied = false, ""
	if h, ok := t.dec.(devices.Hearer); ok {
		h.Sent(r.Bytes)
	}
	t.write(r.Bytes)
}

// wrote takes what the writer says.
func (t *talk) wrote(err error) {
	x := t.now
	switch {

	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		t.end(refusal{Silent, fmt.Sprintf("the port took no bytes for %v", writeTimeout)})
	case err != nil: // the reader says that the port is gone
		t.end(refusal{port101, "the port is gone: " + err.Error()})
	case x.early && x.denied != "":
		t.deny(refusal{text: x.denied})
	case x.early || x.request.Expect == devices.ExpectNothing:
		t.done()
	default:
		x.deadline = time.Now().Add(cmp.Or(x.request.Within, defaultReply))
	}
}

// answered takes an answer to a command, "" for measured data, of which the first byte came at at.
func (t *talk) answered(name string, rs []devices.Reading, at time.Time) {
	x := t.now
	if x == nil || x.early || at.Before(x.begun) {
		return
	}
	switch x.request.Expect {
	case devices.ExpectAnswer:
		if name == "" || name != x.request.Command {
			return
		}
	case devices.ExpectData:
		if name != "" {
			return
		}
	default:
		return
	}
	if x.command != nil {
		x.answers = append(x.answers, rs...)
		x.told = len(rs) > 0
	}
	if x.deadline.IsZero() {
		x.early = true
		return
	}
	t.done()
}

// refused ends an exchange that the device does not carry out.
func (t *talk) refused(s devices.Sample) {
	x := t.now
	if x == nil || x.early || s.At.Before(x.begun) || x.request.Expect == devices.ExpectNothing {
		return
	}
	if x.deadline.IsZero() {
		x.early, x.denied = true, s.Refusal
		return
	}
	t.deny(refusal{text: s.Refusal})
}

// deny ends an exchange in which the device did not do what was asked; that it can't be read back is no reason.
func (t *talk) deny(why refusal) {
	if t.now.confirms {
		t.done()
		return
	}
	t.end(why)
}

// late ends an exchange whose answer did not come.
func (t *talk) late() {
	// The rest of a round of polling may be answered; the watchdog sees when nothing is.
	t.deny(refusal{Silent, fmt.Sprintf("the device did not answer within %v", cmp.Or(t.now.request.Within, defaultReply))})
}

// done goes on with the next setting or request, or ends.
func (t *talk) done() {
	x := t.now
	if c, ok := t.dec.(devices.Confirmer); ok && x.command != nil && !x.confirms && !x.told {
		if r, ok := c.Confirm(x.command.settings[x.step].name); ok {
			x.confirms = true
			t.give(r)
			return
		}
	}
	x.confirms, x.told = false, false
	if x.command != nil && x.step+1 < len(x.command.settings) {
		x.step++
		t.request()
		return
	}
	t.end(nil)
}

// end answers the command that goes on, or forgets the poll.
func (t *talk) end(err error) {
	x := t.now
	t.now = nil
	if x.command == nil {
		t.poll.step = x.step + 1
		return
	}
	t.b.answer(x.command.id, err, x.answers)
}

// poller knows when the device is to be asked.
type poller struct {
	asker devices.Asker
	every time.Duration
	begun time.Time // the present round
	due   time.Time // zero: never
	step  int
}

func newPoller(c Config, d *devices.Driver, dec devices.Decoder) poller {
	asker, ok := dec.(devices.Asker)
	every := cmp.Or(c.Every, d.Every)
	if !ok || every == 0 {
		return poller{}
	}
	now := time.Now()
	return poller{asker: asker, every: every, begun: now, due: now}
}

// ask gives the next request of the round, or waits for the next round.
func (t *talk) ask(now time.Time) {
	r, ok := t.poll.asker.Next(t.poll.step)
	if ok {
		t.now = &exchange{step: t.poll.step}
		t.give(r)
		return
	}
	t.poll.step = 0
	t.poll.begun = t.poll.begun.Add(t.poll.every)
	if t.poll.begun.Before(now) { // a round took longer than it may: the missed ones are not made up for
		t.poll.begun = now
	}
	t.poll.due = t.poll.begun
}
