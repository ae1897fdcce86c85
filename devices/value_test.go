// SPDX-License-Identifier: Apache-2.0

package devices_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"edged/devices"
)

func TestValuesAsJSON(t *testing.T) {
	for _, c := range []struct {
		v    devices.Value
		want string
	}{
		{devices.Num(0), "0"},
		{devices.Num(math.Copysign(0, -1)), "0"},
		{devices.Num(21.4), "21.4"},
		{devices.Num(-0.5), "-0.5"},
		{devices.Num(1 << 53), "9007199254740992"},
		{devices.Num(1<<53 - 1), "9007199254740991"},
		{devices.Num(1e20), "100000000000000000000"},
		{devices.Num(1e21), "1e+21"},
		{devices.Num(1e-7), "0.0000001"},
		{devices.Num(0.30000000000000004), "0.30000000000000004"},
		{devices.Flag(true), "true"},
		{devices.Flag(false), "false"},
		{devices.Str(`a"b\c`), `"a\"b\\c"`},
		{devices.Str("21 °C\t\x7f\xff"), `"21 °C\u0009\u007f` + "\ufffd" + `"`},
		{devices.Num(math.NaN()), "null"},
		{devices.Num(math.Inf(-1)), "null"},
	} {
		got, err := json.Marshal(c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("%v: %s (%v), want %s", c.v, got, err, c.want)
		}
	}
	if got := devices.Str("on").String(); got != "on" {
		t.Errorf("a string for people is %q", got)
	}
	if got := string(devices.AppendObject(nil, []devices.Reading{{"a", devices.Num(1)}, {"b", devices.Str("x")}})); got != `{"a":1,"b":"x"}` {
		t.Errorf("object: %s", got)
	}
}

func TestValueOfScalars(t *testing.T) {
	for _, c := range []struct {
		from any
		want devices.Value
	}{
		{21.5, devices.Num(21.5)},
		{int64(3), devices.Num(3)},
		{3, devices.Num(3)},
		{true, devices.Flag(true)},
		{"x", devices.Str("x")},
		{nil, devices.Value{}},
		{[]any{1}, devices.Value{}},
		{math.NaN(), devices.Value{}},
	} {
		got, ok := devices.ValueOf(c.from)
		if got != c.want || ok != (c.want != devices.Value{}) {
			t.Errorf("%v: %v %v, want %v", c.from, got, ok, c.want)
		}
	}
	if _, ok := devices.Str("1").Float(); ok {
		t.Error("a string is a number")
	}
	if b, ok := devices.Flag(true).Truth(); !b || !ok {
		t.Error("true is not true")
	}
}

func FuzzStringsAsJSON(f *testing.F) {
	f.Add("a\x00\"\\\u2028\xc3\x28é")
	f.Fuzz(func(t *testing.T, s string) {
		raw := devices.Str(s).AppendJSON(nil)
		var got string
		if err := json.Unmarshal(raw, &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && strings.Count(got, "\ufffd") == 0 {
			t.Fatalf("%q: %s: %q %v", s, raw, got, err)
		}
	})
}

func TestLinearIsExactInDecimal(t *testing.T) {
	for _, c := range []struct{ x, scale, offset, want float64 }{
		{3, 0.1, 0, 0.3},
		{6, 0.1, 0, 0.6},
		{1236, 0.1, 0, 123.6},
		{2951, 0.1, -273.15, 21.95},
		{2224, 0.125, -256, 22},
		{-13, 0.1, 0, -1.3},
		{21.4, 1, -0.4, 21},
		{0.1, 3, 0, 0.3},
		{7, 1, 0, 7},
		{1 << 53, 1, 0, 1 << 53},
		{1<<53 - 1, 0.001, 0, 9007199254740.991},
		{5, 1.0 / 3, 0, 1.66666666666667},
	} {
		if got := devices.NewLinear(c.scale, c.offset).Apply(c.x); got != c.want {
			t.Errorf("%v × %v + %v is %v, want %v", c.x, c.scale, c.offset, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct{ from, clean, data string }{
		{"temperature", "temperature", "temperature"},
		{"Temp °C", "temp__c", "temp__c"},
		{"id", "id", "id_"},
		{"Time", "time", "time_"},
		{"uptime_ms", "uptime_ms", "uptime_ms_"},
		{"pm2.5", "pm2_5", "pm2_5"},
	} {
		clean := devices.CleanName(c.from)
		if clean != c.clean || devices.DataName(clean) != c.data || !devices.IsName(clean) {
			t.Errorf("%q becomes %q and in data %q, want %q and %q", c.from, clean, devices.DataName(clean), c.clean, c.data)
		}
	}
	for _, s := range []string{"", "A", "a-b", "a b", "é"} {
		if devices.IsName(s) {
			t.Errorf("%q is a name", s)
		}
	}
}
