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
}

// begin executes a command.
func (w *wire) begin(c command) {
	if now := time.Now(); now.After(c.until) {
		w.b.answer(c.id, expired(c.until, now), nil)
		return
	}
	w.now = &exchange{command: &c}
	w.request()
}

// request writes the next setting of the command that goes on.
func (w *wire) request() {
	x := w.now
	s := x.command.settings[x.step]
	commander, ok := w.dec.(devices.Commander)
	if !ok {
		w.end(refusal{text: "this device takes no commands"})
		return
	}
	r, err := commander.Command(s.name, s.value)
	if err != nil {
		w.end(refusal{text: fmt.Sprintf("%s: %v", s.name, err)})
		return
	}
	w.give(r)
}

// give hands a request to the writer.
func (w *wire) give(r devices.Request) {
	w.now.request, w.now.begun, w.now.deadline = r, time.Now(), time.Time{}
	w.now.early, w.now.denied = false, ""
	if h, ok := w.dec.(devices.Hearer); ok {
		h.Sent(r.Bytes)
	}
	w.writes <- r.Bytes // holds one, and only one exchange goes on
}

// wrote takes what the writer says.
func (w *wire) wrote(err error) {
	x := w.now
	switch {

	case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
		w.end(refusal{Silent, fmt.Sprintf("the port took no bytes for %v", writeTimeout)})
	case err != nil: // the reader says that the port is gone
		w.end(refusal{port101, "the port is gone: " + err.Error()})
	case x.early && x.denied != "":
		w.end(refusal{text: x.denied})
	case x.early || x.request.Expect == devices.ExpectNothing:
		w.done()
	default:
		x.deadline = time.Now().Add(cmp.Or(x.request.Within, defaultReply))
	}
}

// answered takes an answer to a command, "" for measured data, of which the first byte came at at.
func (w *wire) answered(name string, rs []devices.Reading, at time.Time) {
	x := w.now
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
	}
	if x.deadline.IsZero() {
		x.early = true
		return
	}
	w.done()
}

// refused ends an exchange that the device does not carry out.
func (w *wire) refused(s devices.Sample) {
	x := w.now
	if x == nil || x.early || s.At.Before(x.begun) || x.request.Expect == devices.ExpectNothing {
		return
	}
	if x.deadline.IsZero() {
		x.early, x.denied = true, s.Refusal
		return
	}
	w.end(refusal{text: s.Refusal})
}

// late ends an exchange whose answer did not come.
func (w *wire) late() {
	// The rest of a round of polling may be answered; the watchdog sees when nothing is.
	w.end(refusal{Silent, fmt.Sprintf("the device did not answer within %v", cmp.Or(w.now.request.Within, defaultReply))})
}

// done goes on with the next setting or request, or ends.
func (w *wire) done() {
	x := w.now
	if x.command != nil && x.step+1 < len(x.command.settings) {
		x.step++
		w.request()
		return
	}
	w.end(nil)
}

// end answers the command that goes on, or forgets the poll.
func (w *wire) end(err error) {
	x := w.now
	w.now = nil
	if x.command == nil {
		w.poll.step = x.step + 1
		return
	}
	w.b.answer(x.command.id, err, x.answers)
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
func (w *wire) ask(now time.Time) {
	r, ok := w.poll.asker.Next(w.poll.step)
	if ok {
		w.now = &exchange{step: w.poll.step}
		w.give(r)
		return
	}
	w.poll.step = 0
	w.poll.begun = w.poll.begun.Add(w.poll.every)
	if w.poll.begun.Before(now) { // a round took longer than it may: the missed ones are not made up for
		w.poll.begun = now
	}
	w.poll.due = w.poll.begun
}
