// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"strings"
	"testing"

	"edged/devices"
	"edged/devices/catalog"
	"edged/devices/checksum"
	"edged/devices/field"
)

const good = `driver   = "x"
title    = "X"
protocol = "frame"

[[frame]]
name  = "data"
start = "55 aa"
size  = 6
checksum = { kind = "sum8" }

[[reading]]
name = "v"
at   = 2
`

func TestDescriptionsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name, from, to string // what is changed in good
		want           string
	}{
		{"syntax", `title    = "X"`, `title    = X`, "x.toml:2:12: expected value but found \"X\" instead"},
		{"type", `size  = 6`, `size  = "6"`, "x.toml:8:1: frame.size: incompatible types: TOML value has type string; destination has type integer"},
		{"unknown key", `at   = 2`, `att  = 2`, "x.toml:13:1: reading.att: unknown key; did you mean \"at\"?"},
		{"unknown key in the second of them", `at   = 2`, "at = 2\n[[reading]]\nname = \"w\"\noffst = 2", "x.toml:16:1: reading.offst: unknown key; did you mean \"offset\"?"},
		{"unknown key in both of them", `at   = 2`, "att = 2\n[[reading]]\nname = \"w\"\natt = 3", "x.toml:13:1: reading.att: unknown key; did you mean \"at\"?\nx.toml:16:1: reading.att: unknown key; did you mean \"at\"?"},
		{"unknown key like none", `at   = 2`, `whatever = 2`, "x.toml:13:1: reading.whatever: unknown key"},
		{"driver", `"x"`, `"X y"`, "x.toml:1:1: driver: \"X y\" is not a name: lower-case letters, digits, _ and -"},
		{"title", `"X"`, `""`, "x.toml:2:1: title: must say what the device is"},
		{"protocol", `"frame"`, `"fram"`, "x.toml:3:1: protocol: \"fram\" is not known; possible: \"frame\", \"modbus\""},
		{"start", `"55 aa"`, `"5"`, "x.toml:7:1: frame.start: \"5\" is not bytes in hexadecimal, such as \"42 4d\""},
		{"no start", `"55 aa"`, `""`, "x.toml:7:1: frame.start: a frame must begin with known bytes"},
		{"size", `size  = 6`, ``, "x.toml:5:3: frame: needs either size or length, or an end and max"},
		{"too small", `size  = 6`, `size  = 1`, "x.toml:5:3: frame: a frame of 1 to 1 bytes is not possible: at least its start and end, at most 4096"},
		{"too large", `size  = 6`, `size  = 5000`, "x.toml:5:3: frame: a frame of 5000 to 5000 bytes is not possible: at least its start and end, at most 4096"},
		{"length without bound", `size  = 6`, `length = { at = 2 }`, "x.toml:8:1: frame.length: needs either the allowed values or the max one: without a bound, one wrong byte swallows many frames"},
		{"length too small", `size  = 6`, `length = { at = 2, allowed = [1] }`, "x.toml:8:20: frame.length.allowed: 1 is too small: the length field itself would not be in the frame"},
		{"checksum", `"sum8"`, `"crc"`, "x.toml:9:14: frame.checksum.kind: \"crc\" is not known; possible: " + devices.QuoteAll(checksum.Names()) + "; or crc8, crc16, crc32 with poly"},
		{"checksum outside", `"sum8"`, `"sum8", from = 9`, "x.toml:9:1: frame.checksum: does not lie within the frame of at least 6 bytes"},
		{"example", `size  = 6`, "size  = 6\nexample = \"55 aa 00 00 00 01\"", "x.toml:9:1: frame.example: is not a valid frame of this shape"},
		{"need", `size  = 6`, "size  = 6\nneed = { 5 = \"00 00\" }", "x.toml:9:10: frame.need.5: does not lie within the frame of at most 6 bytes"},
		{"name", `"v"`, `"V"`, "x.toml:12:1: reading.name: \"V\" is not a name: lower-case letters, digits and _; {n} where it repeats"},
		{"field outside", `at   = 2`, "at   = 5\ntype = \"u16\"", "x.toml:13:1: reading.at: does not lie within the frame of at most 6 bytes"},
		{"type of a field", `at   = 2`, "at   = 2\ntype = \"int\"", "x.toml:14:1: reading.type: \"int\" is not known; possible: " + devices.QuoteAll(field.Types())},
		{"no len", `at   = 2`, "at   = 2\ntype = \"hex\"", "x.toml:11:3: reading.len: type \"hex\" needs its number of bytes"},
		{"bit", `at   = 2`, "at   = 2\nbit = 8", "x.toml:14:1: reading.bit: there is no bit 8 in u8"},
		{"map of text", `at   = 2`, "at   = 2\ntype = \"text\"\nlen = 1\nmap = { 1 = \"a\" }", "x.toml:14:1: reading.type: bit, map and absent need a whole number, not \"text\""},
		{"scale", `at   = 2`, "at   = 2\nscale = 0", "x.toml:14:1: reading.scale: must not be 0"},
		{"frame", `at   = 2`, "at   = 2\nframe = \"date\"", "x.toml:14:1: reading.frame: no frame is named \"date\""},
		{"twice", `at   = 2`, "at   = 2\n[[reading]]\nname = \"v\"", "x.toml:15:1: reading.name: another reading is named \"v\": two of a name need different when"},
		{"when", `at   = 2`, "at   = 2\nwhen = { length = [1] }", "x.toml:14:10: reading.when.length: the frame has no length field"},
		{"order", `at   = 2`, "at   = 2\norder = \"middle\"", "x.toml:14:1: reading.order: \"middle\" is not known; possible: \"big\", \"little\", \"cdab\", \"badc\""},
		{"kind of a command", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"x\"\nsend = \"00\"", "x.toml:16:1: command.kind: \"x\" is not known; possible: \"bool\", \"number\", \"enum\", \"hex\", \"trigger\""},
		{"values", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"bool\"\nvalues = { true = \"00\" }\nsend = \"{value}\"", "x.toml:17:1: command.values: must give the bytes of true and of false"},
		{"range", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"number\"\ntype = \"u8\"\nmin = 0\nmax = 256\nsend = \"{value}\"", "x.toml:14:3: command: needs min and max within the range of u8"},
		{"placeholder", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"trigger\"\nsend = \"00 {value}\"", "x.toml:17:1: command.send: {value} stands for nothing here"},
		{"no value", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"hex\"\nbytes = 1\nsend = \"00\"", "x.toml:18:1: command.send: has no {value}"},
		{"reserved", `at   = 2`, "at   = 2\n[[command]]\nname = \"id\"\nkind = \"trigger\"\nsend = \"00\"", "x.toml:15:1: command.name: \"id\" can't be the name of a command"},
		{"answer", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"trigger\"\nsend = \"00\"\nanswer = { at = 2 }", "x.toml:18:1: command.answer.need: must tell the answer from a frame of readings"},
		{"effect", `at   = 2`, "at   = 2\n[[command]]\nname = \"c\"\nkind = \"trigger\"\nsend = \"00\"\neffects = { true = \"fly\" }", "x.toml:18:13: command.effects.true: \"fly\" is not known; possible: sleep, wake, stream, quiet, send"},
		{"duration", `title    = "X"`, "title    = \"X\"\nevery = \"10\"", "x.toml:3:1: every: \"10\" is not a duration such as \"500ms\" or \"10s\""},
		{"several at once", "at   = 2", "at   = 9\nscal = 2", "x.toml:13:1: reading.at: does not lie within the frame of at most 6 bytes\nx.toml:14:1: reading.scal: unknown key; did you mean \"scale\"?"},
		{"the first of two", `at   = 2`, "at   = 9 # = \n[[reading]]\nname = \"w\"\nat = 2", "x.toml:13:1: reading.at: does not lie within the frame of at most 6 bytes"},
		{"the second of two", `at   = 2`, "at   = 2\ntext = \"\"\"\nat = 1\n\"\"\"\n[[reading]]\nname = \"w\"\nat = 9", "x.toml:19:1: reading.at: does not lie within the frame of at most 6 bytes"},
		{"fine", "", "", ""},
	} {
		if !strings.Contains(good, c.from) {
			t.Fatalf("%s: %q is not in the description", c.name, c.from)
		}
		_, _, err := catalog.ParseDescription("x.toml", []byte(strings.Replace(good, c.from, c.to, 1)))
		got := ""
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestTestsOfDescriptionsCanFail(t *testing.T) {
	d, _ := catalog.Get("sds011")
	const frame = "aa c0 d4 04 3a 0a a1 60 1d ab"
	for _, c := range []struct {
		name string
		test catalog.Test
		want string
	}{
		{"value", catalog.Test{Bytes: frame, Readings: map[string]any{"pm25": 123.5, "pm10": 261.8}}, "pm25 is 123.6, want 123.5"},
		{"one more", catalog.Test{Bytes: frame, Readings: map[string]any{"pm25": 123.6, "pm10": 261.8, "x": true}}, "x is absent, want true"},
		{"one less", catalog.Test{Bytes: frame, Readings: map[string]any{"pm25": 123.6}}, "pm10 is 261.8, want <nil>"},
		{"two", catalog.Test{Bytes: frame + frame}, "gives 2 samples, want 1 (0 bad frames, 0 bytes of garbage)"},
		{"none", catalog.Test{Bytes: "00"}, "gives 0 samples, want 1 (0 bad frames, 1 bytes of garbage)"},
		{"reject", catalog.Test{Bytes: frame, Reject: "why"}, `gives {"pm25":123.6,"pm10":261.8}, want it refused: why`},
		{"answer", catalog.Test{Bytes: frame, Answer: "sleep"}, `answers "", want "sleep"`},
		{"nothing", catalog.Test{}, "a test needs bytes or a command"},
		{"hex", catalog.Test{Bytes: "x"}, `"x" is not bytes in hexadecimal, such as "42 4d"`},
		{"command", catalog.Test{Command: map[string]any{"sleep": true}, Send: "00"}, "sleep = true sends aa b4 06 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 05 ab, want 00"},
		{"command refused", catalog.Test{Command: map[string]any{"sleep": 3}}, "sleep takes true or false, not 3"},
		{"command not refused", catalog.Test{Command: map[string]any{"sleep": true}, Reject: "x"}, "sleep = true sends aa b4 06 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 05 ab, want "},
		{"two commands", catalog.Test{Command: map[string]any{"sleep": true, "mode": "query"}}, "a test of a command has one name and value, and a driver with commands"},
		{"options", catalog.Test{Bytes: frame, Options: map[string]any{"address": "x"}}, `address: "x" is not 4 hexadecimal digits`},
		{"refused as wanted", catalog.Test{Command: map[string]any{"sleep": 3}, Reject: "a number"}, ""},
	} {
		got := ""
		if err := devices.Check(d, c.test); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// FuzzParseDescription: no file panics, and a driver that comes out of one decodes, takes commands and is simulated
// without a panic.
func FuzzParseDescription(f *testing.F) {
	f.Add([]byte(good))
	for _, name := range []string{"sds011", "pms5003"} {
		text, _ := catalog.Description(name)
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		d, tests, err := catalog.ParseDescription("x.toml", text)
		if err != nil {
			return
		}
		for _, test := range tests {
			_ = devices.Check(d, test) // a test may well fail
		}
		dec, err := d.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		sim, err := d.Simulate(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		now := start()
		for range 3 {
			out, next := sim.Tick(now, nil)
			dec.Feed(out, now, func(devices.Sample) {})
			now = next
		}
		for _, c := range d.Commands {
			for _, v := range []devices.Value{devices.Flag(true), devices.Num(1), devices.Str("00")} {
				if r, err := dec.(devices.Commander).Command(c.Name, v); err == nil {
					dec.Feed(sim.Receive(r.Bytes, start(), nil), start(), func(devices.Sample) {})
				}
			}
		}
		dec.Feed(text, start(), func(devices.Sample) {})
		dec.End(func(devices.Sample) {})
	})
}
