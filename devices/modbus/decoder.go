// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// limit bounds a frame: 256 bytes over a serial line, 260 over TCP.
const limit = 260

// decoder is a device as its description tells it.
type decoder struct {
	*stream.Decoder
	p     *protocol
	round int
	due   []*read // of the present round
	tried int     // of the due reads: how far the round has come
	probe bool    // the last request was one
}

func newDecoder(m *model, o options) *decoder {
	p := &protocol{m: m, framing: newFraming(o.Framing == "tcp"), address: byte(o.Address)}
	d := &decoder{Decoder: stream.New(p, limit, false), p: p}
	p.counts = d.Counts
	return d
}

// Next gives the reads of a round; those of readings that are wanted less often are in some rounds only. Where an answer to
// an earlier request may still come and would look like this one's, something else is asked before.
func (d *decoder) Next(step int) (devices.Request, bool) {
	if step == 0 {
		d.due, d.tried, d.probe = d.due[:0], 0, false
		for i := range d.p.m.reads {
			if r := &d.p.m.reads[i]; d.round%r.rounds == 0 {
				d.due = append(d.due, r)
			}
		}
		d.round++
	}
	if d.tried >= len(d.due) {
		return devices.Request{}, false
	}
	r := d.due[d.tried]
	pdu := readPDU(r.table, r.at, r.count)
	other := d.p.distinct(r)
	if d.probe = !d.probe && other != nil; d.probe {
		pdu = other
	} else {
		d.tried++
	}
	d.p.probe = d.probe
	return devices.Request{Bytes: d.p.framing.wrap(d.p.address, pdu), Expect: devices.ExpectData, Within: d.p.m.within}, true
}

// Overhear has Feed expect both sides of the line.
func (d *decoder) Overhear() { d.p.overhears = true }

// Command turns a value into a request.
func (d *decoder) Command(name string, v devices.Value) (devices.Request, error) {
	var names []string
	for _, c := range d.p.m.commands {
		names = append(names, c.info.Name)
		if c.info.Name != name {
			continue
		}
		pdu, err := c.pdu(v)
		if err != nil {
			return devices.Request{}, err
		}
		b := d.p.framing.wrap(d.p.address, pdu)
		d.p.command, d.p.written, d.p.probe = c, b, false
		return devices.Request{Bytes: b, Command: name, Expect: devices.ExpectAnswer, Within: d.p.m.within}, nil
	}
	if names == nil {
		names = []string{"none"}
	}
	return devices.Request{}, fmt.Errorf("there is no command %q; possible: %s", name, strings.Join(names, ", "))
}

// Confirm asks what a command has set, where its answer does not tell.
func (d *decoder) Confirm(name string) (devices.Request, bool) {
	for _, c := range d.p.m.commands {
		if c.info.Name != name || !c.readable() {
			continue
		}
		b := d.p.framing.wrap(d.p.address, readPDU(holding, int(c.at), c.field.Width/2))
		d.p.command, d.p.written, d.p.probe = c, b, false
		return devices.Request{Bytes: b, Command: name, Expect: devices.ExpectAnswer, Within: d.p.m.within}, true
	}
	return devices.Request{}, false
}

// Sent tells what was written: only its answer is read from then on.
func (d *decoder) Sent(b []byte) {
	d.p.sent(b)
	d.Decoder.Sent(b)
}

// protocol finds the answer to the request that was sent last. Nothing else on the line means anything: frames of other
// devices, and what another master asks them, are passed over.
type protocol struct {
	m       *model
	framing *framing
	address byte
	command *command // made last
	written []byte   // its request
	probe   bool     // the next request only finds out whether earlier ones are through

	asked     []byte // function and data of the request; nil: nothing was asked, or it was answered
	raw       []byte // the request as it was sent
	setting   *command
	probing   bool
	doubts    doubts
	doubtful  bool           // an answer may be that to an earlier request
	loops     bool           // the line brings back what is written to it
	unechoed  int            // answers in a row without an echo
	overhears bool           // another master asks
	aside     []byte         // the last bytes that were not for us
	foreign   bool           // what was found last is its request
	heardAt   time.Time      // when it was
	before    devices.Counts // at the request
	counts    func() devices.Counts
	out       []devices.Reading
}

// sent notes a request.
func (p *protocol) sent(b []byte) {
	address, pdu, ok := p.framing.unwrap(b)
	if p.asked != nil && !p.framing.tcp { // which tells answers apart by their transactions
		p.doubts.add(p.asked)
	}
	p.asked, p.raw, p.setting = nil, append(p.raw[:0], b...), nil
	p.before = p.counts()
	if !ok || address != p.address {
		return
	}
	p.asked = append([]byte{}, pdu...)
	p.probing, p.doubtful = p.probe, p.doubts.have(pdu)
	if p.command != nil && bytes.Equal(b, p.written) {
		p.setting = p.command
	}
}

// Candidate finds where an answer may begin.
func (p *protocol) Candidate(b []byte) int {
	if p.asked == nil && !p.overhears {
		return len(b)
	}
	first := p.address
	if p.framing.tcp {
		first = p.raw[0]
	}
	if i := bytes.IndexByte(b, first); i >= 0 {
		return i
	}
	return len(b)
}

// Judge checks an answer.
func (p *protocol) Judge(b []byte) (int, stream.Verdict) {
	p.foreign = false
	size, v := p.judge(b)
	if v == stream.Match || p.framing.tcp || b[0] != p.address {
		return size, v
	}
	if other := p.otherMaster(b); other == stream.Match || other == stream.More && v == stream.No {
		p.foreign = other == stream.Match
		if p.foreign && !p.overhears { // whose answer would look like ours
			p.doubtful, v = true, stream.No
			return 0, v
		}
		return requestSize, other
	}
	return size, v
}

func (p *protocol) judge(b []byte) (int, stream.Verdict) {
	before, behind := p.framing.around()
	if p.asked == nil || !p.heads(b) {
		return 0, stream.No
	}
	if len(b) <= before {
		return 0, stream.More
	}
	size := before + behind
	switch function := b[before]; {
	case function == p.asked[0]|0x80:
		size += 2
	case function != p.asked[0] || !p.fits(b[before:]) || p.isEcho(b):
		return 0, stream.No
	default:
		size += answerSize(p.asked)
	}
	if len(b) < size {
		return size, stream.More
	}
	if p.framing.tcp {
		if int(binary.BigEndian.Uint16(b[4:])) != size-6 {
			return 0, stream.No
		}
		return size, stream.Match
	}
	if !p.framing.holds(b[:size]) {
		return size, stream.Bad
	}
	return size, stream.Match
}

// heads reports whether b begins as an answer does: by the device's address, over TCP by the request's transaction.
func (p *protocol) heads(b []byte) bool {
	if !p.framing.tcp {
		return b[0] == p.address
	}
	n := min(len(b), 4)
	return bytes.Equal(b[:n], p.raw[:n]) && (len(b) < 7 || b[6] == p.address)
}

// fits reports whether an answer begins as this request's does: a read tells how many bytes follow, a write echoes.
func (p *protocol) fits(pdu []byte) bool {
	size := answerSize(p.asked)
	if p.asked[0] <= 4 && len(p.asked) == 5 {
		return len(pdu) < 2 || int(pdu[1]) == size-2
	}
	n := min(len(pdu), size)
	return bytes.Equal(pdu[:n], p.asked[:n])
}

// isEcho reports whether b is the request that came back, where an answer looks the same: on a line that does so the
// first is the echo.
func (p *protocol) isEcho(b []byte) bool {
	return p.loops && p.asked[0] > 4 && p.counts().Echo == p.before.Echo && bytes.HasPrefix(b, p.raw[:min(len(b), len(p.raw))])
}

// Read gives what an answer says.
func (p *protocol) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	before, behind := p.framing.around()
	pdu := b[before : len(b)-behind]
	if p.foreign {
		p.overheard(pdu, at)
		return
	}
	asked, setting := p.asked, p.setting
	p.asked = nil
	if p.overhears && !p.belongs(at) {
		return
	}
	if asked[0] <= 4 {
		p.learn()
	}
	s := devices.Sample{At: at}
	if setting != nil {
		s.Answer = setting.info.Name
	}
	switch {
	case pdu[0] != asked[0]:
		s.Refusal = exception(pdu[1])
		if p.probing { // it is an answer all the same
			s.Refusal = ""
		}
	case setting != nil:
		p.out = p.out[:0]
		if v := p.back(setting, asked, pdu); v.Kind() != devices.None {
			p.out = append(p.out, devices.Reading{Name: setting.info.Name, Value: v})
		}
		s.Readings = p.out
	case asked[0] > 4:
		return
	case p.doubtful: // the true one may follow it: until the time for it is over nothing is read
		p.doubts.dropped(asked)
		return
	case !p.probing:
		p.out = p.values(asked, pdu[2:])
		s.Readings = p.out
	}
	if !p.doubtful { // a device answers one request after the other
		p.doubts.clear(p.probing)
	}
	emit(s)
}

// back gives the value that the answer to a command tells.
func (p *protocol) back(c *command, asked, pdu []byte) devices.Value {
	switch {
	case p.doubtful:
	case asked[0] == byte(holding):
		return c.back(pdu[2:])
	case c.echoed() && len(pdu) >= 5:
		return c.back(pdu[3:5])
	}
	return devices.Value{}
}

// values gives the readings of registers. What was asked may be another's than the plan's requests: a user may try any.
func (p *protocol) values(asked, data []byte) []devices.Reading {
	to := p.out[:0]
	t, at, count := table(asked[0]), int(binary.BigEndian.Uint16(asked[1:])), int(binary.BigEndian.Uint16(asked[3:]))
	for i := range p.m.reads {
		if r := &p.m.reads[i]; r.table == t && r.at == at && r.count == count {
			return r.values(data, to)
		}
	}
	part := read{table: t, at: at, count: count, readings: slices.DeleteFunc(slices.Clone(p.m.readings), func(x reading) bool {
		return x.table != t || x.at < at || x.at+x.count > at+count
	})}
	return part.values(data, to)
}
