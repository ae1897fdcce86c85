// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"bytes"
	"slices"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

const (
	mostDoubts  = 4               // requests without an answer that are remembered
	ignored     = 3               // probes in a row that got no answer while others did: the device ignores them
	requestSize = 8               // of a request to read, and of one to write one register
	answerTime  = 2 * time.Second // between the request of another master and its answer
	echoes      = 8               // answers in a row without an echo before: the line does not echo
	turnAround  = 3               // bytes of noise that may stand between these where the line changes hands
)

// doubts are requests that were not answered in time. Over a serial line nothing in an answer tells which registers it
// holds: one that comes late looks like that to the next request of the same length. So a request is only trusted to an
// answer that no earlier one can have.
type doubts struct {
	open    [][]byte // how their answers would begin
	ignored int      // answers that were dropped since a probe was answered last
}

// beginning gives what an answer to a request begins with, as far as it is known.
func beginning(pdu []byte) []byte {
	if pdu[0] <= 4 && len(pdu) == 5 {
		return []byte{pdu[0], byte(answerSize(pdu) - 2)}
	}
	return bytes.Clone(pdu[:min(len(pdu), answerSize(pdu))])
}

func (d *doubts) add(pdu []byte) {
	if d.have(pdu) {
		return
	}
	if len(d.open) == mostDoubts {
		d.open = slices.Delete(d.open, 0, 1)
	}
	d.open = append(d.open, beginning(pdu))
}

// have reports whether the answer to a request could be that to an earlier one.
func (d *doubts) have(pdu []byte) bool {
	if len(d.open) == 0 {
		return false
	}
	want := beginning(pdu)
	return slices.ContainsFunc(d.open, func(x []byte) bool { return bytes.Equal(x, want) })
}

// clear forgets all: a later request was answered.
func (d *doubts) clear(byProbe bool) {
	d.open = d.open[:0]
	if byProbe {
		d.ignored = 0
	}
}

// dropped notes that the answer to a request was not believed. From a device that never answers probes it is taken for
// that to the request before, of which then nothing is open any more.
func (d *doubts) dropped(pdu []byte) {
	d.add(pdu)
	if d.ignored++; d.ignored >= ignored {
		d.open = d.open[:0]
	}
}

// distinct gives a request near a read whose answer has another length than every one that may still come; nil: the
// read's own has.
func (p *protocol) distinct(r *read) []byte {
	if p.framing.tcp || p.doubts.ignored >= ignored {
		return nil
	}
	open := p.doubts
	if p.asked != nil {
		open.open = append(slices.Clone(open.open), beginning(p.asked))
	}
	if !open.have(readPDU(r.table, r.at, r.count)) {
		return nil
	}
	step := 1
	if r.table.bits() {
		step = 8
	}
	for _, n := range []int{-1, -2, -3, 1, 2, 3, -4, 4} {
		count := r.count + n*step
		if pdu := readPDU(r.table, r.at, count); count > 0 && r.at+count <= 1<<16 && !open.have(pdu) {
			return pdu
		}
	}
	return nil
}

// otherMaster reports whether b begins with a request of another master to our device, or may.
func (p *protocol) otherMaster(b []byte) stream.Verdict {
	switch {
	case len(b) > 1 && (b[1] == 0 || b[1] > 6):
		return stream.No
	case len(b) < requestSize && !p.overhears && (len(b) < 2 || p.asked == nil || b[1] != p.asked[0]):
		return stream.No
	case len(b) < requestSize:
		return stream.More
	case !p.framing.holds(b[:requestSize]) || p.asked != nil && bytes.Equal(b[:requestSize], p.raw) && p.mayEcho():
		return stream.No
	}
	return stream.Match
}

// Aside looks for what another master asks our device meanwhile: its answer would look like that to our next request.
func (d *decoder) Aside(b []byte) {
	p := d.p
	if p.framing.tcp {
		return
	}
	p.aside = append(p.aside, b...)
	for i := 0; i+requestSize <= len(p.aside); i++ {
		next := bytes.IndexByte(p.aside[i:len(p.aside)-requestSize+1], p.address)
		if next < 0 {
			break
		}
		if i += next; p.otherMaster(p.aside[i:]) == stream.Match {
			p.doubts.add(p.aside[i+1 : i+requestSize-2])
			i += requestSize - 1
		}
	}
	p.aside = append(p.aside[:0], p.aside[max(0, len(p.aside)-requestSize+1):]...)
}

// mayEcho reports whether a request that is the same as ours may be its echo: the first one is, where the line has echoed
// lately or is not known yet.
func (p *protocol) mayEcho() bool {
	return p.unechoed < echoes && p.counts().Echo == p.before.Echo
}

// learn finds out from an answer whether the line echoes. One echo may be spoilt.
func (p *protocol) learn() {
	if p.doubtful { // what was taken for an echo may be none
		return
	}
	if p.counts().Echo != p.before.Echo {
		p.loops, p.unechoed = true, 0
		return
	}
	if p.unechoed++; p.unechoed >= echoes {
		p.loops, p.unechoed = false, echoes
	}
}

// overheard takes a request of another master to our device.
func (p *protocol) overheard(pdu []byte, at time.Time) {
	p.asked, p.raw, p.before = nil, p.raw[:0], p.counts()
	if pdu[0] <= 4 {
		p.asked, p.heardAt = bytes.Clone(pdu), at
	}
}

// belongs reports whether an answer follows its request: soon, and with nothing between them.
func (p *protocol) belongs(at time.Time) bool {
	c := p.counts()
	return at.Sub(p.heardAt) < answerTime && c.Bad == p.before.Bad && c.Garbage-p.before.Garbage <= turnAround
}

var (
	_ devices.Overhearer = (*decoder)(nil)
	_ devices.Bystander  = (*decoder)(nil)
)
