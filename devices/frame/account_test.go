// SPDX-License-Identifier: Apache-2.0

package frame_test

import (
	"slices"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/frame"
)

// TestEveryByteIsCountedOnce feeds frames 55 a b c d sum: each byte is in a frame, in a bad frame or garbage.
func TestEveryByteIsCountedOnce(t *testing.T) {
	const (
		whole  = "55 01 02 03 04 5f "
		broken = "55 01 02 03 04 5e "
	)
	for _, c := range []struct {
		name, wire                 string
		frames, bad, garbage, size uint64
	}{
		{"a frame", whole, 1, 0, 0, 6},
		{"garbage", "01 02 03", 0, 0, 3, 3},
		{"a bad frame", broken, 0, 1, 0, 6},
		{"bad ones between", whole + broken + broken + whole, 2, 2, 0, 24},
		{"garbage around a bad one", "01 " + broken + "02 03 " + whole + "04", 1, 1, 4, 16},
		{"a frame that lost a byte, then a whole one", "55 01 02 03 5b " + whole, 1, 1, 0, 11},
		{"a frame that lost a byte, then a bad one", "55 01 02 03 5b " + broken, 0, 2, 0, 11},
		{"a start byte inside a bad one", "55 01 55 03 04 5e 00 00", 0, 2, 0, 8},
		{"a false start swallowed in time", "55 " + whole + whole, 2, 1, 0, 13},
		{"unfinished", whole + "55 01 02", 1, 0, 3, 9},
	} {
		raw, err := devices.ParseHex(c.wire)
		if err != nil {
			t.Fatal(err)
		}
		for piece := 1; piece <= len(raw); piece++ {
			dec, err := described(t, func(*frame.Description) {}).New(nil)
			if err != nil {
				t.Fatal(err)
			}
			for rest := raw; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
				dec.Feed(rest[:min(piece, len(rest))], time.Time{}, func(devices.Sample) {})
			}
			dec.End(func(devices.Sample) {})
			want := devices.Counts{Bytes: c.size, Frames: c.frames, Bad: c.bad, Garbage: c.garbage}
			if got := dec.Counts(); got != want {
				t.Errorf("%s in pieces of %d: %+v, want %+v", c.name, piece, got, want)
			}
		}
	}
}

// TestTimeBehindFalseBeginning: what was held back keeps the time of its own first byte.
func TestTimeBehindFalseBeginning(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 1}}}
	})
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []time.Duration
	begun := time.Date(2026, 11, 22, 14, 5, 9, 0, time.UTC)
	keep := func(s devices.Sample) { got = append(got, s.At.Sub(begun)) }
	for i, b := range []byte{0x55, 0x55, 1, 2, 3, 4, 0x5f, 0x55, 1, 2, 3, 4, 0x5f} {
		dec.Feed([]byte{b}, begun.Add(time.Duration(i)), keep)
	}
	dec.Feed([]byte{0x55}, begun.Add(20), keep)
	dec.Feed([]byte{0x55, 1, 2, 3, 4, 0x5f}, begun.Add(21), keep)
	if want := []time.Duration{1, 7, 21}; !slices.Equal(got, want) {
		t.Errorf("frames began at %v, want %v", got, want)
	}
}

func TestShapesWithOtherStartBytes(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Frame = []frame.ShapeDescription{{Name: "a", Start: "55", Size: 2}, {Name: "b", Start: "66", Size: 2}}
		d.Reading = []frame.ReadingDescription{
			{Name: "a", FieldDescription: frame.FieldDescription{At: 1}},
			{Name: "b", Frame: "b", FieldDescription: frame.FieldDescription{At: 1}},
		}
	})
	if got, want := sample(t, d, "00 55 01 00 66 02 00"), "{\"a\":1}\n{\"b\":2}"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
