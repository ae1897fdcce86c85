// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/stream"
)

// request asks every meter at the line for its data (IEC 62056-21, 6.3.1).
const request = "/?!\r\n"

// D0 is the driver of the optical port of IEC 62056-21.
func D0() *devices.Driver {
	return &devices.Driver{
		Name: "d0", Title: "Electricity meters with an optical port (IEC 62056-21, D0)", Model: "IEC 62056-21 meter",
		Class: "energy-meter", Serial: "9600 7E1", Text: true,
		Notes: "Meters that send by themselves (mode D) need no `every`. With `every` it is asked: serial = \"300 7E1\"; it answers at " +
			"that rate, which takes up to a minute. Readings are those that the meter has.",
		Readings: infos(),
		New: func(devices.Options) (devices.Decoder, error) {
			return &d0Decoder{stream.New(&blocks{telegrams: newTelegrams()}, telegramLimit, true)}, nil
		},
		Simulate: func(_ devices.Options, seed uint64) (devices.Simulator, error) { return newD0Simulator(seed), nil },
	}
}

// d0Decoder asks.
type d0Decoder struct{ *stream.Decoder }

// Next asks once in a round.
func (*d0Decoder) Next(step int) (devices.Request, bool) {
	return devices.Request{Bytes: []byte(request), Expect: devices.ExpectData, Within: time.Minute}, step == 0
}

// blocks finds data blocks: STX, lines, !, CR LF, ETX, and the exclusive or of all from behind STX to ETX; or telegrams
// without one, as they come from meters of mode D.
type blocks struct {
	*telegrams
}

// Candidate finds where either may begin.
func (*blocks) Candidate(b []byte) int {
	if i := bytes.IndexAny(b, "/\x02"); i >= 0 {
		return i
	}
	return len(b)
}

// Judge checks either.
func (p *blocks) Judge(b []byte) (int, stream.Verdict) {
	if b[0] != 0x02 {
		if i := bytes.IndexByte(b, 0x02); i >= 0 { // an identification, and the data block that it announces
			return 0, stream.No
		}
		return p.telegrams.Judge(b)
	}
	end := bytes.IndexByte(b, 0x03)
	if i := bytes.IndexByte(b[1:], 0x02); i >= 0 && (end < 0 || i+1 < end) {
		return 0, stream.No
	}
	if end < 0 || end+1 == len(b) {
		return 0, undecided(b, telegramLimit-64)
	}
	var sum byte
	for _, x := range b[1 : end+1] {
		sum ^= x
	}
	if sum != b[end+1] || !strings.Contains(string(b[:end]), "!") {
		return end + 2, stream.Bad
	}
	return end + 2, stream.Match
}

// Read gives the readings of either.
func (p *blocks) Read(b []byte, at time.Time, emit func(devices.Sample)) {
	if b[0] == 0x02 {
		b = slices.Concat([]byte("/\r\n"), b[1:len(b)-2])
	}
	p.telegrams.Read(b, at, emit)
}

func newD0Simulator(seed uint64) *simulator {
	return &simulator{
		wander: devices.Wander{Seed: seed}, beat: devices.Beat{Period: 2 * time.Second},
		write: func(s *simulator, out []byte) []byte {
			text := s.lines() + "!\r\n\x03"
			var sum byte
			for i := range len(text) {
				sum ^= text[i]
			}
			return append(fmt.Appendf(out, "\x02%s", text), sum)
		},
	}
}
