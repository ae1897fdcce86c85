// SPDX-License-Identifier: Apache-2.0

package line_test

import (
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/line"
)

// TestLinesBetweenMarkers feeds each text whole and byte by byte.
func TestLinesBetweenMarkers(t *testing.T) {
	for _, c := range []struct {
		name, start, end, text, want string
		bad                          uint64
	}{
		{"an end", "", ";", "T=1;T=2;\r\nT=3;T=", `{"t":1}{"t":2}{"t":3}`, 0},
		{"a longer end", "", "<>", "T=1<>T=2<<>>T=3<>", `{"t":1}{"t":"2<"}{">t":3}`, 0},
		{"STX and ETX", "\x02", "\x03", "noise\x02T=1\x03\x02T=2\x02T=3\x03T=4\x03", `{"t":1}{"t":3}`, 1},
		{"a start", "$", "", "$T=1\r\nhello\r\n\r\nx$T=2\n", `{"t":1}{"t":2}`, 1},
		{"a line that is too long", "", ";", strings.Repeat("x", 9000) + ";T=1;", `{"t":1}`, 1},
	} {
		for _, size := range []int{1, len(c.text)} {
			o := devices.Options{"format": "kv"}
			if c.start != "" {
				o["start"] = c.start
			}
			if c.end != "" {
				o["end"] = c.end
			}
			dec, err := line.Driver().New(o)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			emit := func(s devices.Sample) { got = devices.AppendObject(got, s.Readings) }
			for at := 0; at < len(c.text); at += size {
				dec.Feed([]byte(c.text[at:min(at+size, len(c.text))]), time.Time{}, emit)
			}
			want := strings.ReplaceAll(c.want, `{">t"`, `{"_t"`)
			if n := dec.Counts(); string(got) != want || n.Bad != c.bad {
				t.Errorf("%s, %d bytes at a time: %s, %d bad; want %s, %d", c.name, size, got, n.Bad, want, c.bad)
			}
		}
	}
	for _, o := range []devices.Options{{"format": "kv", "end": ""}, {"format": "kv", "start": strings.Repeat("x", 17)}} {
		faults := 0
		line.Driver().Validate(o, func(string, string) { faults++ })
		if faults == 0 {
			t.Errorf("%v is allowed", o)
		}
	}
}

// TestSimulatorMarksItsLines has the decoder read what the simulator writes.
func TestSimulatorMarksItsLines(t *testing.T) {
	o := devices.Options{"format": "json", "start": "\x02", "end": "\x03"}
	sim, err := line.Driver().Simulate(o, 1)
	if err != nil {
		t.Fatal(err)
	}
	dec, err := line.Driver().New(o)
	if err != nil {
		t.Fatal(err)
	}
	now, samples := time.Now(), 0
	for range 5 {
		out, next := sim.Tick(now, nil)
		dec.Feed(out, now, func(devices.Sample) { samples++ })
		now = next
	}
	if c := dec.Counts(); samples < 3 || c.Bad > 0 || c.Pending > 0 {
		t.Errorf("%d samples, %+v", samples, c)
	}
}
