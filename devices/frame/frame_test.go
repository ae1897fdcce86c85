// SPDX-License-Identifier: Apache-2.0

package frame_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/field"
	"edged/devices/frame"
)

// described makes a driver whose description a test has changed.
func described(t *testing.T, change func(*frame.Description)) *devices.Driver {
	t.Helper()
	d := plain()
	change(d)
	driver, err := d.Driver()
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

// plain describes frames 55 a b c d sum.
func plain() *frame.Description {
	return &frame.Description{
		Head:  devices.Head{Name: "x", Title: "X", Protocol: "frame"},
		Frame: []frame.ShapeDescription{{Start: "55", Size: 6, Checksum: &frame.ChecksumDescription{Kind: "sum8"}}},
	}
}

// sample gives what one frame says, as JSON.
func sample(t *testing.T, d *devices.Driver, frame string) string {
	t.Helper()
	raw, err := devices.ParseHex(frame)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := devices.Decode(d, nil, nil, bytes.NewReader(raw), &out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func TestFields(t *testing.T) {
	scale := 0.1
	bit := 2
	for _, c := range []struct {
		name  string
		field frame.FieldDescription
		data  string // four bytes
		want  string
	}{
		{"u8 by default", frame.FieldDescription{At: 1}, "fe 00 00 00", `{"v":254}`},
		{"s8", frame.FieldDescription{At: 1, Description: field.Description{Type: "s8"}}, "fe 00 00 00", `{"v":-2}`},
		{"u16", frame.FieldDescription{At: 1, Description: field.Description{Type: "u16"}}, "01 02 00 00", `{"v":258}`},
		{"u16 little", frame.FieldDescription{At: 1, Description: field.Description{Type: "u16", Order: "little"}}, "01 02 00 00", `{"v":513}`},
		{"s16 scaled", frame.FieldDescription{At: 1, Description: field.Description{Type: "s16", Scale: &scale}}, "ff f3 00 00", `{"v":-1.3}`},
		{"u16 offset", frame.FieldDescription{At: 1, Description: field.Description{Type: "u16", Scale: &scale, Offset: -273.15}}, "0b 87 00 00", `{"v":21.95}`},
		{"u32", frame.FieldDescription{At: 1, Description: field.Description{Type: "u32"}}, "ff ff ff ff", `{"v":4294967295}`},
		{"s32 little", frame.FieldDescription{At: 1, Description: field.Description{Type: "s32", Order: "little"}}, "fe ff ff ff", `{"v":-2}`},
		{"f32", frame.FieldDescription{At: 1, Description: field.Description{Type: "f32"}}, "40 a7 83 20", `{"v":5.2347565}`},
		{"f32 NaN", frame.FieldDescription{At: 1, Description: field.Description{Type: "f32"}}, "7f c0 00 00", `{}`},
		{"from the end", frame.FieldDescription{At: -2}, "00 00 00 07", `{"v":7}`},
		{"hex", frame.FieldDescription{At: 2, Description: field.Description{Type: "hex", Len: 3}}, "00 a1 60 0f", `{"v":"a1600f"}`},
		{"text", frame.FieldDescription{At: 1, Description: field.Description{Type: "text", Len: 4}}, "41 42 20 00", `{"v":"AB"}`},
		{"text that is none", frame.FieldDescription{At: 1, Description: field.Description{Type: "text", Len: 2}}, "ff fe 00 00", `{}`},
		{"date", frame.FieldDescription{At: 1, Description: field.Description{Type: "date"}}, "0f 07 0a 00", `{"v":"2015-07-10"}`},
		{"bit set", frame.FieldDescription{At: 1, Description: field.Description{Bit: &bit}}, "04 00 00 00", `{"v":true}`},
		{"bit clear", frame.FieldDescription{At: 1, Description: field.Description{Bit: &bit}}, "fb 00 00 00", `{"v":false}`},
		{"map", frame.FieldDescription{At: 1, Description: field.Description{Map: map[string]any{"0": "off", "0x10": "on"}}}, "10 00 00 00", `{"v":"on"}`},
		{"map without it", frame.FieldDescription{At: 1, Description: field.Description{Map: map[string]any{"0": "off"}}}, "10 00 00 00", `{}`},
		{"absent", frame.FieldDescription{At: 1, Description: field.Description{Type: "u16", Absent: []int64{0xffff}}}, "ff ff 00 00", `{}`},
	} {
		d := described(t, func(d *frame.Description) {
			d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: c.field}}
		})
		raw, _ := devices.ParseHex("55" + c.data)
		var sum byte
		for _, b := range raw {
			sum += b
		}
		var out bytes.Buffer
		if _, err := devices.Decode(d, nil, nil, bytes.NewReader(append(raw, sum)), &out); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(out.String()); got != c.want {
			t.Errorf("%s: %s gives %s, want %s", c.name, c.data, got, c.want)
		}
	}
}

func TestChecksums(t *testing.T) {
	four := 4
	for _, c := range []struct {
		name  string
		sum   frame.ChecksumDescription
		frame string // 55, four bytes and what stands behind
	}{
		{"sum8", frame.ChecksumDescription{Kind: "sum8"}, "55 ff 02 03 04 5d"},
		{"sum8 of a part", frame.ChecksumDescription{Kind: "sum8", From: 1}, "55 ff 02 03 04 08"},
		{"neg8", frame.ChecksumDescription{Kind: "neg8"}, "55 ff 02 03 04 a3"},
		{"xor8", frame.ChecksumDescription{Kind: "xor8"}, "55 ff 02 03 04 af"},
		{"sum16", frame.ChecksumDescription{Kind: "sum16"}, "55 ff 02 03 01 59"},
		{"sum16 little", frame.ChecksumDescription{Kind: "sum16", Order: "little"}, "55 ff 02 03 59 01"},
		{"neg16", frame.ChecksumDescription{Kind: "neg16"}, "55 ff 02 03 fe a7"},
		{"before a tail", frame.ChecksumDescription{Kind: "sum8", At: &four}, "55 01 02 03 5b 99"},
		{"over all but itself, at the end", frame.ChecksumDescription{Kind: "xor8", From: 1, To: &four, At: new(5)}, "55 01 02 03 04 00"},
	} {
		d := described(t, func(d *frame.Description) {
			d.Frame[0].Checksum = &c.sum
			d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 2}}}
		})
		if got := sample(t, d, c.frame); got == "" {
			t.Errorf("%s: %s is refused", c.name, c.frame)
		}
		raw, _ := devices.ParseHex(c.frame)
		raw[3] ^= 0x10
		var out bytes.Buffer
		if counts, _ := devices.Decode(d, nil, nil, bytes.NewReader(raw), &out); out.Len() > 0 || counts.Bad != 1 {
			t.Errorf("%s: a damaged frame gives %q, %+v", c.name, out.String(), counts)
		}
	}
}

func TestShapesThatBeginAlike(t *testing.T) {
	length := &frame.LengthDescription{At: 1, Add: 2, Allowed: []int{2, 3}}
	d := described(t, func(d *frame.Description) {
		d.Frame = []frame.ShapeDescription{
			{Name: "long", Start: "55", Length: length},
			{Name: "other", Start: "55 09", Size: 3, Need: map[string]string{"2": "aa"}},
		}
		when := &frame.WhenDescription{Length: []int{3}}
		if3 := &frame.WhenDescription{Bytes: map[string]string{"2": "01"}}
		d.Reading = []frame.ReadingDescription{
			{Name: "a", FieldDescription: frame.FieldDescription{At: 2}},
			{Name: "b", FieldDescription: frame.FieldDescription{At: 4}, When: when},
			{Name: "c", FieldDescription: frame.FieldDescription{At: 3}, When: if3},
			{Name: "a", Frame: "other", FieldDescription: frame.FieldDescription{At: 1}},
		}
	})
	for frame, want := range map[string]string{
		"55 02 07 08":          `{"a":7}`,
		"55 03 01 08 09":       `{"a":1,"b":9,"c":8}`,
		"55 09 aa":             `{"a":9}`,
		"55 09 ab":             ``,
		"55 04 01 02 03 04 05": ``,
		"55 55 55 02 01 02":    `{"a":1,"c":2}`,
	} {
		if got := sample(t, d, frame); got != want {
			t.Errorf("%s gives %s, want %s", frame, got, want)
		}
	}
}

// TestFrameBehindFalseBeginning: a start and a length that promise a long frame do not hide the one that follows.
func TestFrameBehindFalseBeginning(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Frame[0].Size = 0
		d.Frame[0].Length = &frame.LengthDescription{At: 1, Add: 3, Max: 100}
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 2}}}
	})
	if got := sample(t, d, "55 50 00 55 01 07 5d"); got != `{"v":7}` {
		t.Errorf("at the end of the input: %q", got)
	}
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	count := func(devices.Sample) { n++ }
	for range 30 {
		dec.Feed([]byte{0x55, 0x50, 0x00, 0x55, 0x01, 0x07, 0x5d}, time.Time{}, count)
	}
	if n < 15 {
		t.Errorf("%d frames of 30", n)
	}
	if c := dec.Counts(); c.Pending > 103 || uint64(c.Pending)+c.Garbage > c.Bytes {
		t.Errorf("%+v", c)
	}
}

func TestBlankFrameIsASampleWithoutReadings(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Frame[0].Blank = &frame.RangeDescription{From: 1, To: -1}
		d.Reading = []frame.ReadingDescription{{Name: "v", FieldDescription: frame.FieldDescription{At: 1}}}
	})
	for frame, want := range map[string]string{"55 00 00 00 00 55": `{}`, "55 00 00 00 01 56": `{"v":0}`} {
		if got := sample(t, d, frame); got != want {
			t.Errorf("%s gives %s, want %s", frame, got, want)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	d := described(t, func(*frame.Description) {})
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	junk := bytes.Repeat([]byte{0x55, 1, 2}, 1<<10)
	at := time.Time{}
	ignore := func(devices.Sample) {}
	step := func() {
		for i := range junk { // each byte at a time of its own
			at = at.Add(time.Millisecond)
			dec.Feed(junk[i:i+1], at, ignore)
		}
	}
	step()
	if n := testing.AllocsPerRun(3, step); n != 0 {
		t.Errorf("%v allocations for %d bytes", n, len(junk))
	}
	if c := dec.Counts(); c.Bytes != 5*uint64(len(junk)) || c.Pending > 6 || c.Frames != 0 {
		t.Errorf("%+v", c)
	}
}

func TestOptionsOfDescriptions(t *testing.T) {
	d := described(t, func(d *frame.Description) {
		d.Option = []frame.OptionDescription{{Name: "address", Bytes: 2, Default: "ffff", Text: "its id"}}
		d.Command = []frame.CommandDescription{{
			Name: "n", Kind: "number", Type: "s16", Order: "little", Min: new(-300.0), Max: new(300.0), Send: "01 {value} {address} {sum}",
			Checksum: &frame.ChecksumDescription{Kind: "xor8"},
		}}
	})
	var got []string
	d.Validate(devices.Options{"address": "a1", "adress": true}, func(key, problem string) { got = append(got, key+": "+problem) })
	want := []string{`address: "a1" is not 4 hexadecimal digits`, "adress: driver x has no such option"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if _, err := d.New(devices.Options{"address": "zz"}); err == nil {
		t.Error("a decoder with an address that is none")
	}
	dec, err := d.New(devices.Options{"address": "A160"})
	if err != nil {
		t.Fatal(err)
	}
	r, err := dec.(devices.Commander).Command("n", devices.Num(-2))
	if sent := []byte{1, 0xfe, 0xff, 0xa1, 0x60, 0xc1}; err != nil || !bytes.Equal(r.Bytes, sent) || r.Expect != devices.ExpectNothing {
		t.Errorf("% x %v, want % x", r.Bytes, err, sent)
	}
	for _, x := range []float64{301, -301, 0.5, math.Inf(1)} {
		if r, err := dec.(devices.Commander).Command("n", devices.Num(x)); err == nil {
			t.Errorf("%v is sent as % x", x, r.Bytes)
		}
	}
}
