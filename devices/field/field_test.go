// SPDX-License-Identifier: Apache-2.0

package field_test

import (
	"testing"

	"edged/devices"
	"edged/devices/field"
)

func TestReadAndPut(t *testing.T) {
	tenth, bit := 0.1, 9
	for _, c := range []struct {
		name string
		d    field.Description
		data string
		want devices.Value
	}{
		{"u24", field.Description{Type: "u24"}, "01 00 02", devices.Num(65538)},
		{"s24 little", field.Description{Type: "s24", Order: "little"}, "fe ff ff", devices.Num(-2)},
		{"s24 scaled", field.Description{Type: "s24", Scale: &tenth}, "ff ff f6", devices.Num(-1)},
		{"u32 CDAB", field.Description{Type: "u32", Order: "CDAB"}, "56 78 12 34", devices.Num(0x12345678)},
		{"u32 BADC", field.Description{Type: "u32", Order: "badc"}, "34 12 78 56", devices.Num(0x12345678)},
		{"u32 DCBA", field.Description{Type: "u32", Order: "dcba"}, "78 56 34 12", devices.Num(0x12345678)},
		{"u64 cdab", field.Description{Type: "u64", Order: "cdab"}, "00 04 00 03 00 02 00 00", devices.Num(0x200030004)},
		{"s64", field.Description{Type: "s64"}, "ff ff ff ff ff ff ff fe", devices.Num(-2)},
		{"f32 cdab", field.Description{Type: "f32", Order: "cdab"}, "00 00 43 66", devices.Num(230)},
		{"f64", field.Description{Type: "f64"}, "40 6c c0 00 00 00 00 00", devices.Num(230)},
		{"bcd", field.Description{Type: "bcd", Len: 4}, "00 12 34 56", devices.Num(123456)},
		{"bcd little", field.Description{Type: "bcd", Len: 2, Order: "little"}, "34 12", devices.Num(1234)},
		{"ascii10", field.Description{Type: "ascii10", Len: 4}, "30 30 34 32", devices.Num(42)},
		{"ascii16", field.Description{Type: "ascii16", Len: 4}, "30 30 32 41", devices.Num(42)},
		{"a high bit", field.Description{Type: "u16", Bit: &bit}, "02 00", devices.Flag(true)},
		{"map", field.Description{Type: "u8", Map: map[string]any{"3": "bulk"}}, "03", devices.Str("bulk")},
		{"text", field.Description{Type: "text", Len: 4}, "41 42 00 00", devices.Str("AB")},
		{"hex", field.Description{Type: "hex", Len: 2}, "a1 60", devices.Str("a160")},
		{"date", field.Description{Type: "date"}, "0f 07 0a", devices.Str("2015-07-10")},
	} {
		var faults devices.Faults
		f := c.d.Field("", "u8", &faults)
		raw, err := devices.ParseHex(c.data)
		if err != nil || len(faults) > 0 || f.Width != len(raw) {
			t.Fatalf("%s: %v %v, %d bytes", c.name, err, faults, f.Width)
		}
		if got := f.Read(raw); got != c.want {
			t.Errorf("%s: %s is %v, want %v", c.name, c.data, got, c.want)
		}
		back := make([]byte, len(raw))
		if !f.Put(back, c.want) || f.Read(back) != c.want {
			t.Errorf("%s: %v becomes % x, which is %v", c.name, c.want, back, f.Read(back))
		}
	}
}

func TestWhatIsNoValue(t *testing.T) {
	for _, c := range []struct {
		d    field.Description
		data string
	}{
		{field.Description{Type: "bcd", Len: 2}, "1a 00"},
		{field.Description{Type: "ascii10", Len: 3}, "31 41 31"},
		{field.Description{Type: "ascii10", Len: 2}, "20 20"},
		{field.Description{Type: "ascii16", Len: 18}, "66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66 66"},
		{field.Description{Type: "text", Len: 2}, "01 02"},
		{field.Description{Type: "text", Len: 2}, "00 00"},
		{field.Description{Type: "f64"}, "7f f8 00 00 00 00 00 00"},
		{field.Description{Type: "u16", Absent: []int64{0x7fff}}, "7f ff"},
	} {
		var faults devices.Faults
		f := c.d.Field("", "u8", &faults)
		raw, _ := devices.ParseHex(c.data)
		if got := f.Read(raw); got.Kind() != devices.None || len(faults) > 0 {
			t.Errorf("%s %s is %v (%v)", c.d.Type, c.data, got, faults)
		}
	}
}

func TestDescriptionsThatCannotBe(t *testing.T) {
	zero, bit := 0.0, 16
	for want, d := range map[string]field.Description{
		`r.type: "u7" is not known; possible: ` + devices.QuoteAll(field.Types()):  {Type: "u7"},
		`r.len: type "bcd" needs its number of bytes`:                              {Type: "bcd"},
		`r.order: "cdab" is not known; possible: "big", "little", "cdab", "badc"`:  {Type: "u8", Order: "cdab"},
		`r.order: "worst" is not known; possible: "big", "little", "cdab", "badc"`: {Type: "u16", Order: "worst"},
		`r.scale: must not be 0`:                                     {Scale: &zero},
		`r.bit: there is no bit 16 in u16`:                           {Type: "u16", Bit: &bit},
		`r.type: bit, map and absent need a whole number, not "f32"`: {Type: "f32", Absent: []int64{0}},
		`r.map: x = 1: must be a whole number and its value`:         {Map: map[string]any{"x": int64(1)}},
		`r.len: 19 bytes are too many`:                               {Type: "ascii10", Len: 19},
	} {
		var faults devices.Faults
		d.Field("r", "u8", &faults)
		if faults.Error() != want {
			t.Errorf("%q, want %q", faults.Error(), want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(3), uint8(1), []byte("0042"))
	f.Fuzz(func(t *testing.T, kind, order uint8, data []byte) {
		types := field.Types()
		d := field.Description{
			Type: types[int(kind)%len(types)], Len: min(len(data), 18), Order: []string{"big", "little", "cdab", "badc"}[order%4],
		}
		var faults devices.Faults
		x := d.Field("", "u8", &faults)
		if len(faults) > 0 || len(data) < x.Width {
			return
		}
		v := x.Read(data[:x.Width])
		if v.Kind() != devices.None {
			x.Put(make([]byte, x.Width), v)
		}
	})
}
