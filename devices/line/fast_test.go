// SPDX-License-Identifier: Apache-2.0

package line

import (
	"slices"
	"testing"
	"time"

	"edged/devices"
)

// FuzzTemplates compares what a template gives with what its expression does.
func FuzzTemplates(f *testing.F) {
	f.Add("T={temperature},H={humidity}", "T=21.40,H=-.5e3")
	f.Add("{a} {b}", "1. +.5")
	f.Add("{a}e5", "1e5")
	f.Add("{{{a}}}", "{12345678901234567890.5}")
	f.Add("{a}-{b}x{}", "1-2xyz")
	f.Fuzz(func(t *testing.T, template, text string) {
		made, err := newTemplate(template)
		if err != nil || text == "" {
			return
		}
		p := made.(*patternFormat)
		got, what := p.parse([]byte(text), nil)
		p.steps = nil
		want, what2 := p.parse([]byte(text), nil)
		if what != what2 || what == matched && !slices.Equal(got, want) {
			t.Errorf("%q of %q: %v %v, want %v %v", template, text, got, what, want, what2)
		}
	})
}

// TestLinesOfNumbersAllocateNothing: such a line leaves no garbage behind.
func TestLinesOfNumbersAllocateNothing(t *testing.T) {
	for _, c := range []struct {
		options devices.Options
		wire    string
	}{
		{devices.Options{"format": "template", "parse": "T={temperature},H={humidity}"}, "T=21.4,H=48.25\r\n"},
		{devices.Options{"format": "json"}, `{"Room":{"T":21.4,"on":true},"h":48.25,"none":null}` + "\r\n"},
	} {
		dec, err := Driver().New(c.options)
		if err != nil {
			t.Fatal(err)
		}
		wire, n := []byte(c.wire), 0
		count := func(s devices.Sample) { n += len(s.Readings) }
		if a := testing.AllocsPerRun(100, func() { dec.Feed(wire, time.Time{}, count) }); a != 0 || n < 202 {
			t.Errorf("%q: %v allocations, %d readings", c.wire, a, n)
		}
	}
}
