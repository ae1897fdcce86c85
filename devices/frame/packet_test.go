// SPDX-License-Identifier: Apache-2.0

package frame_test

import (
	"bytes"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/field"
	"edged/devices/frame"
)

// packets describes frames AA a b sum between what kind of delimiters.
func packets(t *testing.T, kind string) *devices.Driver {
	t.Helper()
	return described(t, func(d *frame.Description) {
		d.Stuffing = &frame.StuffingDescription{Kind: kind}
		d.Frame = []frame.ShapeDescription{{Start: "aa", Size: 4, Checksum: &frame.ChecksumDescription{Kind: "sum8"}}}
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 1, Description: field.Description{Type: "u16"}}}}
	})
}

func TestFramesBetweenDelimiters(t *testing.T) {
	for _, c := range []struct{ kind, wire, want string }{
		{"slip", "c0 aa 01 02 ad c0", `{"v":258}`},
		{"slip", "aa 01 02 ad c0 aa 01 03 ae c0", "{\"v\":258}\n{\"v\":259}"},
		{"slip", "c0 aa db dc db dd 45 c0", `{"v":49371}`},
		{"slip", "c0 aa db 01 02 ad c0", ""},
		{"slip", "c0 aa 01 db c0 aa 01 02 ad c0", `{"v":258}`},
		{"cobs", "05 aa 01 02 ad 00", `{"v":258}`},
		{"cobs", "02 aa 01 02 aa 00", `{"v":0}`},
		{"cobs", "09 aa 01 02 ad 00 05 aa 01 02 ad 00", `{"v":258}`},
		{"hdlc", "7e aa 01 02 ad 7e", `{"v":258}`},
		{"hdlc", "7e aa 7d 5e 7d 5d a5 7e 7e aa 01 02 ad 7e", "{\"v\":32381}\n{\"v\":258}"},
		{"hdlc", "7e aa 01 02 ad aa 01 02 ad 7e 7e 7e aa 01 02 ad 7e", `{"v":258}`},
		{"hdlc", "7e aa 01 7e 02 ad 7e", ""},
	} {
		if got := sample(t, packets(t, c.kind), c.wire); got != c.want {
			t.Errorf("%s %s gives %q, want %q", c.kind, c.wire, got, c.want)
		}
	}
}

// TestEveryByteOfPacketsIsCountedOnce: delimiters belong to the frames that they delimit.
func TestEveryByteOfPacketsIsCountedOnce(t *testing.T) {
	for _, c := range []struct {
		name, wire                        string
		frames, bad, garbage, size, holds uint64
	}{
		{"a frame", "7e aa 01 02 ad 7e", 1, 0, 0, 6, 0},
		{"two that share a delimiter", "7e aa 01 02 ad 7e aa 01 02 ad 7e", 2, 0, 0, 11, 0},
		{"junk between", "7e aa 01 02 ad 7e 01 02 7e aa 01 02 ad 7e", 2, 0, 2, 14, 0},
		{"a bad one", "7e aa 01 02 ae 7e", 0, 1, 0, 6, 0},
		{"an unfinished one", "7e aa 01 02 ad 7e 7e aa", 1, 0, 2, 8, 2},
		{"a lone delimiter", "7e 7e aa 01 02 ad 7e", 1, 0, 1, 7, 0},
	} {
		raw, _ := devices.ParseHex(c.wire)
		dec, err := packets(t, "hdlc").New(nil)
		if err != nil {
			t.Fatal(err)
		}
		dec.Feed(raw, time.Time{}, func(devices.Sample) {})
		if got := dec.Counts().Pending; got != int(c.holds) {
			t.Errorf("%s: %d bytes pending, want %d", c.name, got, c.holds)
		}
		dec.End(func(devices.Sample) {})
		want := devices.Counts{Bytes: c.size, Frames: c.frames, Bad: c.bad, Garbage: c.garbage}
		if got := dec.Counts(); got != want {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
	}
}

// TestSilenceEndsAFrame: nothing but a pause tells frames of any size apart.
func TestSilenceEndsAFrame(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Gap = "20ms"
		d.Frame = []frame.ShapeDescription{{Max: 16, Checksum: &frame.ChecksumDescription{Kind: "crc16-modbus", Order: "little"}}}
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 0}}}
	})
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	if p := dec.(devices.Pacer).Pause(); p != 20*time.Millisecond {
		t.Errorf("a frame ends after %v", p)
	}
	begun := time.Date(2026, 11, 22, 14, 5, 9, 0, time.UTC)
	var got []byte
	keep := func(s devices.Sample) { got = append(devices.AppendObject(got, s.Readings), ' ') }
	at := func(ms int, text string) {
		raw, _ := devices.ParseHex(text)
		dec.Feed(raw, begun.Add(time.Duration(ms)*time.Millisecond), keep)
	}
	at(0, "01 03 00 00 00")
	at(10, "02 c4 0b")
	at(40, "07")          // begins another
	at(70, "09 c0 7f c5") // which was not finished
	dec.End(keep)
	if want := `{"v":1} `; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if c := dec.Counts(); c.Frames != 1 || c.Pending != 0 {
		t.Errorf("%+v", c)
	}
}

// TestEchoIsNoGarbage: what the line brings back of a request is neither counted against it nor read.
func TestEchoIsNoGarbage(t *testing.T) {
	dec, err := described(t, func(*frame.Description) {}).New(nil)
	if err != nil {
		t.Fatal(err)
	}
	request := []byte{0x10, 0x55, 0x02, 0x03}
	for piece := 1; piece <= 10; piece++ {
		before := dec.Counts()
		dec.(devices.Hearer).Sent(request)
		for rest := append(bytes.Clone(request), 0x55, 1, 2, 3, 4, 0x5f); len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			dec.Feed(rest[:min(piece, len(rest))], time.Time{}, func(devices.Sample) {})
		}
		c := dec.Counts()
		if c.Echo != before.Echo+4 || c.Frames != before.Frames+1 || c.Garbage+c.Bad != 0 {
			t.Errorf("in pieces of %d: %+v", piece, c)
		}
	}
	dec.(devices.Hearer).Sent(request)
	dec.Feed([]byte{0x55, 1, 2, 3, 4, 0x5f, 9}, time.Time{}, func(devices.Sample) {})
	if c := dec.Counts(); c.Frames != 11 || c.Garbage != 1 {
		t.Errorf("a line without an echo: %+v", c)
	}
}

// TestTextFrames: digits in place of bytes, an end that tells the size, and what stands behind it.
func TestTextFrames(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Frame = []frame.ShapeDescription{{
			Start: "02", End: "03", Tail: 1, Max: 12, Checksum: &frame.ChecksumDescription{Kind: "xor8", From: 1},
		}}
		d.Reading = []frame.ReadingDescription{
			{Name: "v", FieldDescription: frame.FieldDescription{At: 1, Description: field.Description{Type: "ascii10", Len: 2}}},
			{
				Name: "x{n}", Repeat: &frame.RepeatDescription{Count: 3},
				FieldDescription: frame.FieldDescription{At: 3, Description: field.Description{Type: "ascii16", Len: 2}},
			},
		}
	})
	for wire, want := range map[string]string{
		"02 31 32 03 00":                      `{"v":12}`,
		"02 31 32 30 41 03 71":                `{"v":12,"x1":10}`,
		"02 02 31 32 30 41 31 30 03 70":       `{"v":12,"x1":10,"x2":16}`,
		"02 31 32 30 41 03 72":                ``,
		"02 31 32 30 30 30 30 30 30 30 30 03": ``,
	} {
		if got := sample(t, d, wire); got != want {
			t.Errorf("%s gives %s, want %s", wire, got, want)
		}
	}
	digits := described(t, func(d *frame.Description) {
		d.Frame[0] = frame.ShapeDescription{Start: "24", End: "0d 0a", Size: 7, Checksum: &frame.ChecksumDescription{Kind: "xor8", From: 1, Digits: true}}
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 1}}}
	})
	digits2 := map[string]string{"24 41 42 30 33 0d 0a": `{"v":65}`, "24 41 4a 30 62 0d 0a": `{"v":65}`, "24 41 42 30 34 0d 0a": ``, "24 41 42 30 67 0d 0a": ``}
	for wire, want := range digits2 {
		if got := sample(t, digits, wire); got != want {
			t.Errorf("%s gives %s, want %s", wire, got, want)
		}
	}
}

func TestRequestsAreStuffed(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Stuffing = &frame.StuffingDescription{Kind: "hdlc", Also: "11"}
		d.Send.Checksum = &frame.ChecksumDescription{Kind: "not8"}
		d.Ask = []frame.AskDescription{{Send: "00 7e 11 {sum}"}}
	})
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := dec.(devices.Asker).Next(0)
	if want := []byte{0x7e, 0x00, 0x7d, 0x5e, 0x7d, 0x31, 0x70, 0x7e}; !bytes.Equal(r.Bytes, want) {
		t.Errorf("% x, want % x", r.Bytes, want)
	}
}

// TestLateAnswerIsNotRead: a frame that answers another request than the last gives no readings, even where nothing in it
// tells that.
func TestLateAnswerIsNotRead(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Frame = []frame.ShapeDescription{{Name: "a", Start: "55 01", Size: 3}, {Name: "b", Start: "55 02", Size: 3}}
		d.Reading = []frame.ReadingDescription{
			{Name: "a", Frame: "a", FieldDescription: frame.FieldDescription{At: 2}},
			{Name: "b", Frame: "b", FieldDescription: frame.FieldDescription{At: 2}},
		}
		d.Ask = []frame.AskDescription{{Send: "01", Frame: "a"}, {Send: "02", Frame: "b"}}
	})
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []byte
	keep := func(s devices.Sample) { got = devices.AppendObject(got, s.Readings) }
	late := []byte{0x55, 1, 7, 0x55, 2, 8}
	dec.Feed(late, time.Time{}, keep)
	dec.(devices.Hearer).Sent([]byte{2})
	dec.Feed(late, time.Time{}, keep)
	if want := `{"a":7}{"b":8}{"b":8}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestDescriptionWhoseEchoWouldBeRead is refused: on a line with one pair of wires the request comes back.
func TestDescriptionWhoseEchoWouldBeRead(t *testing.T) {
	d := plain()
	d.Reading = []frame.ReadingDescription{{Name: "v"}}
	d.Ask = []frame.AskDescription{{Send: "55 01 02 03 04 5f"}}
	if _, err := d.Driver(); err == nil {
		t.Error("a request that is a valid frame")
	}
}
