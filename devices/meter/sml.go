// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"edged/devices"
	"edged/devices/checksum"
	"edged/devices/stream"
)

// smlLimit bounds a file of messages; meters send 200 to 1,000 bytes.
const smlLimit = 4 << 10

// SML is the driver of German meters that speak the Smart Message Language.
func SML() *devices.Driver {
	return &devices.Driver{
		Name: "sml", Title: "Electricity meters with an infrared port (SML)", Model: "SML meter",
		Class: "energy-meter", Serial: "9600 8N1",
		Notes: "It sends by itself, each 1 to 4 s. Many meters tell the power, and energy with digits behind the point, only once " +
			"their PIN was entered with a torch. Readings are those that the meter has.",
		Readings: infos("power_limit", "current_limit", "power_import_average", "power_import_peak", "reactive", "power_factor"),
		New: func(devices.Options) (devices.Decoder, error) {
			crc, _ := checksum.New("crc16-x25")
			return stream.New(&files{book: newBook(), crc: crc}, smlLimit, false), nil
		},
		Simulate: func(_ devices.Options, seed uint64) (devices.Simulator, error) { return newSMLSimulator(seed), nil },
	}
}

// files finds files (SML 1.04, 8.1): escape 01 01 01 01, messages, 00 up to a multiple of 4 bytes, escape 1A, the number
// of those 00, CRC-16/X-25 over all before it, its low byte first. The escape is 1B 1B 1B 1B; within messages it is there
// twice.
type files struct {
	book book
	crc  *checksum.Kind
	body []byte // of the file in hand, without escapes
	out  []devices.Reading
}

const (
	escape = "\x1b\x1b\x1b\x1b"
	opens  = escape + "\x01\x01\x01\x01"
)

// Candidate finds where a file may begin.
func (*files) Candidate(b []byte) int {
	if i := bytes.IndexByte(b, 0x1b); i >= 0 {
		return i
	}
	return len(b)
}

// Judge checks a file.
func (p *files) Judge(b []byte) (int, stream.Verdict) {
	if n := min(len(b), len(opens)); string(b[:n]) != opens[:n] {
		return 0, stream.No
	}
	p.body = p.body[:0]
	for at := len(opens); at+8 <= len(b); {
		if string(b[at:at+4]) != escape {
			p.body = append(p.body, b[at:at+4]...)
			at += 4
			continue
		}
		size := at + 8
		switch {
		case string(b[at+4:size]) == escape:
			p.body = append(p.body, escape...)
			at += 8
		case b[at+4] != 0x1a || b[at+5] > 3:
			return 0, stream.No
		case p.crc.Sum(b[:size-2]) != uint32(b[size-1])<<8|uint32(b[size-2]):
			return size, stream.Bad
		default:
			p.body = p.body[:max(0, len(p.body)-int(b[at+5]))]
			return size, stream.Match
		}
	}
	return 0, undecided(b, smlLimit-16)
}

// Read gives a file's readings.
func (p *files) Read(_ []byte, at time.Time, emit func(devices.Sample)) {
	p.out = p.out[:0]
	r := reader{b: p.body}
	for len(r.b) > 0 && !r.broken {
		if r.b[0] == 0 { // the end of a message
			r.b = r.b[1:]
			continue
		}
		p.message(r.next(0))
	}
	emit(devices.Sample{At: at, Readings: p.out})
}

// message reads one: transaction, group, abort, body, checksum, end.
func (p *files) message(m node) {
	body := m.item(3)
	if n, ok := body.item(0).integer(); !ok || n != 0x0701 { // a GetList response
		return
	}
	list := body.item(1)
	server, _ := list.item(1).octets()
	for _, entry := range list.item(4).items {
		p.entry(entry, server)
	}
}

// entry reads one: object, status, time, unit, scaler, value, signature.
func (p *files) entry(e node, server []byte) {
	id, ok := e.item(0).octets()
	if !ok || len(id) != 6 || id[0] != 1 || id[1] != 0 {
		return
	}
	o, known := p.book[fmt.Sprintf("%d.%d.%d", id[2], id[3], id[4])]
	unit, _ := e.item(3).integer()
	scaler, _ := e.item(4).integer()
	value := e.item(5)
	n, ok := value.integer()
	if !known || !ok || scaler < -9 || scaler > 9 {
		return
	}
	x := float64(n)
	switch {
	case value.kind == unsignedInt && n < 0:
		x = float64(uint64(n))
	case value.kind == signedInt && len(value.data) == 2 && o.code == "16.7.0" && unsignedPower(server):
		x = float64(uint16(n))
	}
	name, has := map[int64]string{0x1b: "W", 0x1e: "Wh", 0x21: "A", 0x23: "V", 0x2c: "Hz"}[unit] // DLMS units
	if !has {
		return
	}
	x = devices.NewLinear(math.Pow10(int(scaler)), 0).Apply(x)
	if r, ok := o.reading(x, name); ok {
		p.out = put(p.out, r)
	}
}

// unsignedPower reports meters of DZG with an early firmware, which send power between 327.68 and 655.35 W as a number of
// 16 bits with a sign that it has no room for. A negative one they send with 24 bits. Serial numbers are from meters that
// were seen: 00 02 82 22 5E does it, 00 03 9E 20 53 does not.
func unsignedPower(server []byte) bool {
	return len(server) == 10 && string(server[:5]) == "\x0a\x01DZG" && server[5] == 0 && server[6] <= 2
}
