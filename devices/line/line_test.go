// SPDX-License-Identifier: Apache-2.0

package line_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"edged/devices"
	"edged/devices/line"
)

// decodeLines gives what `edged decode line` prints.
func decodeLines(t testing.TB, o devices.Options, text string) (string, devices.Counts) {
	t.Helper()
	var out bytes.Buffer
	c, err := devices.Decode(line.Driver(), o, nil, strings.NewReader(text), &out)
	if err != nil {
		t.Fatalf("%v: %v", o, err)
	}
	return out.String(), c
}

func TestLines(t *testing.T) {
	template := func(parse string) devices.Options { return devices.Options{"format": "template", "parse": parse} }
	csv := func(parse string) devices.Options { return devices.Options{"format": "csv", "parse": parse} }
	js, kv := devices.Options{"format": "json"}, devices.Options{"format": "kv"}
	regex := func(parse string) devices.Options { return devices.Options{"format": "regex", "parse": parse} }
	th := template("T={temperature},H={humidity}")
	for _, c := range []struct {
		name    string
		options devices.Options
		line    string
		want    string // "": refused
	}{
		{"template", th, "T=21.4,H=48", `{"temperature":21.4,"humidity":48}`},
		{"template, all kinds of numbers", th, "T=-1e3,H=+.5", `{"temperature":-1000,"humidity":0.5}`},
		{"template, leading zeros", th, "T=007,H=1.", `{"temperature":7,"humidity":1}`},
		{"template, more before", th, " T=21.4,H=48", ""},
		{"template, more behind", th, "T=21.4,H=48 ", ""},
		{"template, less", th, "T=21.4,H=", ""},
		{"template, decimal comma", th, "T=21,5,H=48", ""},
		{"template, no number", th, "T=nan,H=48", ""},
		{"template, hexadecimal", th, "T=0x10,H=48", ""},
		{"template, beyond numbers", th, "T=1e999,H=48", `{"humidity":48}`},
		{"template, special characters", template("[{a}] (x)*{b}{{}}"), "[1] (x)*2{}", `{"a":1,"b":2}`},
		{"template, anything", template("{}: {t} °C"), "inside wall: 20 °C", `{"t":20}`},
		{"template, point between", template("{h}.{m}"), "12.30", `{"h":12,"m":30}`},

		{"json", js, `{"T":21.4,"ok":true,"s":"a\u00e9\"","n":null}`, `{"t":21.4,"ok":true,"s":"aé\""}`},
		{"json, nested", js, ` { "a" : { "b" : [ 1 , { "c" : 2 } , [] ] , "d" : {} } } `, `{"a_b_1":1,"a_b_2_c":2}`},
		{"json, names", js, `{"Temp °C":1,"pm2.5":2,"":3,"ID":"x"}`, `{"temp__c":1,"pm2_5":2,"id":"x"}`},
		{"json, name twice", js, `{"a":1,"b":2,"A":3}`, `{"a":3,"b":2}`},
		{"json, empty", js, `{}`, `{}`},
		{"json, numbers", js, `{"a":-0,"b":1e3,"c":1E-2,"d":9007199254740993,"e":1e999}`, `{"a":0,"b":1000,"c":0.01,"d":9007199254740992}`},
		{"json, no object", js, `[1]`, ""},
		{"json, scalar", js, `1`, ""},
		{"json, two", js, `{"a":1}{"a":2}`, ""},
		{"json, cut", js, `{"a":1`, ""},
		{"json, NaN", js, `{"a":NaN}`, ""},
		{"json, too deep", js, strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), ""},
		{"json, too many", js, `{"a":[` + strings.Repeat("1,", 300) + `1]}`, ""},

		{"csv", csv("temperature,,door"), "21.4,x,open", `{"temperature":21.4,"door":"open"}`},
		{"csv, quotes", csv("a,b,c"), `"x, ""y""", 2 ,true`, `{"a":"x, \"y\"","b":2,"c":true}`},
		{"csv, nothing measured", csv("a,b,c"), "1,,nan", `{"a":1}`},
		{"csv, a column less", csv("a,b,c"), "1,2", ""},
		{"csv, a column more", csv("a,b,c"), "1,2,3,4", ""},
		{"csv, open quote", csv("a,b"), `1,"2`, ""},
		{"csv, names are cleaned", csv("Temp, pm2.5"), "1,2", `{"temp":1,"pm2_5":2}`},
		{"csv, other separator", devices.Options{"format": "csv", "parse": "a,b", "separator": ";"}, "21,5;2", `{"a":"21,5","b":2}`},
		{"csv, tag", csv("tag,n"), "12345678901234567890,9007199254740991", `{"tag":"12345678901234567890","n":9007199254740991}`},
		{"csv without names", devices.Options{"format": "csv"}, "1,open", `{"column_1":1,"column_2":"open"}`},
		{"csv without names or numbers", devices.Options{"format": "csv"}, "booting", ""},

		{"regex", regex(`^(?P<state>[SD])\s*(?P<weight>[-+ ]?\d+\.\d+)\s*kg$`), "S  12.50 kg", `{"state":"S","weight":12.5}`},
		{"regex, anywhere", regex(`T=(?P<t>[0-9.]+)`), "x T=3.5 y", `{"t":3.5}`},
		{"regex, optional", regex(`^a(?P<a>\d)?(?P<b>\d)?$`), "a1", `{"a":1}`},
		{"regex, no match", regex(`^(?P<a>\d)$`), "12", ""},

		{"kv", kv, "T=21.4 H=48", `{"t":21.4,"h":48}`},
		{"kv, colons", kv, "Temp: 21.4, door: open; on:true", `{"temp":21.4,"door":"open","on":true}`},
		{"kv, blanks", kv, "T = 21.4 H = 48", `{"t":21.4,"h":48}`},
		{"kv, quotes", kv, `s="a, b=c",n=1`, `{"s":"a, b=c","n":1}`},
		{"kv, last comma", kv, "a=1,", `{"a":1}`},
		{"kv, no pair", kv, "hello", ""},
		{"kv, a word more", kv, "hello T=1", ""},
		{"kv, no name", kv, "=1", ""},
	} {
		got, counts := decodeLines(t, c.options, c.line+"\n")
		if strings.TrimSuffix(got, "\n") != c.want {
			t.Errorf("%s: %q gives %q, want %q", c.name, c.line, got, c.want)
		}
		if refused := c.want == ""; refused != (counts.Unmatched == 1) || refused != (counts.Bad == 1) || refused == (counts.Frames == 1) {
			t.Errorf("%s: %q: %+v", c.name, c.line, counts)
		}
	}
}

func TestLinesEnd(t *testing.T) {
	kv := devices.Options{"format": "kv"}
	for _, c := range []struct {
		name, text, want string
		counts           devices.Counts
	}{
		{"LF", "a=1\na=2\n", "{\"a\":1}\n{\"a\":2}\n", devices.Counts{Frames: 2, Readable: 8}},
		{"CR", "a=1\ra=2\r", "{\"a\":1}\n{\"a\":2}\n", devices.Counts{Frames: 2, Readable: 8}},
		{"CR LF", "a=1\r\na=2\r\n", "{\"a\":1}\n{\"a\":2}\n", devices.Counts{Frames: 2, Readable: 10}},
		{"blank lines", "\n\r\n  \t\na=1\n\n", "{\"a\":1}\n", devices.Counts{Frames: 1, Readable: 12}},
		{"not ended", "a=1\na=22", "{\"a\":1}\n", devices.Counts{Frames: 1, Garbage: 4, Readable: 8}},
		{"not UTF-8", "a=\xff\na=1\n", "{\"a\":1}\n", devices.Counts{Frames: 1, Bad: 1, Readable: 7}},
		{"too long", strings.Repeat("x", 9000) + "=1\na=1\n", "{\"a\":1}\n", devices.Counts{Frames: 1, Bad: 1, Readable: 9007}},
	} {
		got, counts := decodeLines(t, kv, c.text)
		c.counts.Bytes = uint64(len(c.text))
		if got != c.want || counts != c.counts {
			t.Errorf("%s: %q %+v, want %q %+v", c.name, got, counts, c.want, c.counts)
		}
	}
}

func TestHeaderNamesTheColumns(t *testing.T) {
	got, c := decodeLines(t, devices.Options{"format": "csv"}, "1,2\nTemp,pm2.5\n3,4\nTemp,pm2.5\n5\n")
	want := "{\"column_1\":1,\"column_2\":2}\n{\"temp\":3,\"pm2_5\":4}\n"
	if got != want || c.Frames != 4 || c.Unmatched != 1 {
		t.Errorf("%q %+v, want %q", got, c, want)
	}
}

func TestLineOptionsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name    string
		options devices.Options
		want    string
	}{
		{"nothing", devices.Options{}, "format: driver line needs it: how a line is read"},
		{"format", devices.Options{"format": "xml"}, `format: "xml" is not known; possible: "template", "json", "csv", "regex", "kv"`},
		{"type", devices.Options{"format": int64(1)}, "format: must be a string"},
		{"unknown key", devices.Options{"format": "json", "prase": "x"}, "prase: driver line has no such option"},
		{"no parse", devices.Options{"format": "template"}, `parse: format "template" needs it`},
		{"parse too much", devices.Options{"format": "json", "parse": "x"}, `parse: format "json" has no use for it: the line itself names its values`},
		{"no value", devices.Options{"format": "template", "parse": "T"}, "parse: names no value: write {NAME} in a template, (?P<NAME>…) in an expression"},
		{"open", devices.Options{"format": "template", "parse": "T={t"}, "parse: at character 3: { is never closed; write {{ for one that is in the line"},
		{"closed", devices.Options{"format": "template", "parse": "T}={t}"}, "parse: at character 2: } without {; write }} for one that is in the line"},
		{"beside", devices.Options{"format": "template", "parse": "{a}{b}"}, "parse: at character 4: nothing stands between two values, so nothing tells where the first ends"},
		{"twice", devices.Options{"format": "template", "parse": "{a} {a}"}, `parse: "a" stands there twice`},
		{"reserved", devices.Options{"format": "template", "parse": "{time}"}, `parse: "time" is reserved; name it otherwise, such as "time_"`},
		{"reserved column", devices.Options{"format": "csv", "parse": "id,x"}, `parse: "id" is reserved; name it otherwise, such as "id_"`},
		{"upper case", devices.Options{"format": "template", "parse": "{T}"}, `parse: "T" is not a name: lower-case letters, digits and _; did you mean "t"?`},
		{"expression", devices.Options{"format": "regex", "parse": "(?P<a>x"}, "parse: error parsing regexp: missing closing ): `(?P<a>x`"},
		{"no group", devices.Options{"format": "regex", "parse": "(x)"}, "parse: names no value: write {NAME} in a template, (?P<NAME>…) in an expression"},
		{"separator", devices.Options{"format": "csv", "parse": "a", "separator": ";;"}, `separator: ";;" is not one character`},
		{"separator of kv", devices.Options{"format": "kv", "separator": ";"}, `separator: only format "csv" has columns`},
		{"fine", devices.Options{"format": "kv"}, ""},
	} {
		var got []string
		line.Driver().Validate(c.options, func(key, problem string) { got = append(got, key+": "+problem) })
		if text := strings.Join(got, "\n"); text != c.want {
			t.Errorf("%s: %q, want %q", c.name, text, c.want)
		}
	}
}

func TestReadingsThatOptionsName(t *testing.T) {
	for _, c := range []struct {
		options devices.Options
		want    string
	}{
		{devices.Options{"format": "template", "parse": "{b} {} {a}"}, "b a"},
		{devices.Options{"format": "csv", "parse": "x,,y"}, "x y"},
		{devices.Options{"format": "regex", "parse": "(.)(?P<z>.)"}, "z"},
		{devices.Options{"format": "json"}, ""},
		{devices.Options{"format": "csv"}, ""},
		{devices.Options{}, ""},
	} {
		var names []string
		for _, info := range line.Driver().ReadingsFor(c.options) {
			names = append(names, info.Name)
		}
		if got := strings.Join(names, " "); got != c.want {
			t.Errorf("%v: %q, want %q", c.options, got, c.want)
		}
	}
}

// FuzzLines compares with encoding/json: the same lines are objects, and the same scalars are in them.
func FuzzLines(f *testing.F) {
	f.Add([]byte(`{"a":{"b":[1,"x\n",true,null]},"c":-1.5e3}`))
	f.Add([]byte(`{"a":1,"a":{"b":""}} `))
	f.Fuzz(func(t *testing.T, text []byte) {
		if bytes.ContainsAny(text, "\r\n") || len(text) > 4000 || !utf8.Valid(text) || len(bytes.TrimSpace(text)) == 0 {
			return
		}
		dec, err := line.Driver().New(devices.Options{"format": "json"})
		if err != nil {
			t.Fatal(err)
		}
		var got []devices.Reading
		dec.Feed(append(text, '\n'), time.Time{}, func(s devices.Sample) { got = append([]devices.Reading{}, s.Readings...) })
		var want map[string]any
		if err := json.Unmarshal(text, &want); err != nil && got != nil && !strings.Contains(err.Error(), "range") {
			t.Fatalf("%q gives %v, encoding/json says %v", text, got, err)
		}
		if want != nil && got == nil && bytes.Count(text, []byte("{"))+bytes.Count(text, []byte("[")) < 16 && len(text) < 500 {
			t.Fatalf("%q is refused", text)
		}
		for name, x := range want {
			v, scalar := devices.ValueOf(x)
			if clean := devices.CleanName(name); scalar && clean == name && clean != "" && !found(got, clean, v) && len(want) == 1 {
				t.Fatalf("%q: %s = %v is not in %v", text, name, v, got)
			}
		}
	})
}

func found(all []devices.Reading, name string, v devices.Value) bool {
	for _, r := range all {
		if r.Name == name && r.Value == v {
			return true
		}
	}
	return false
}
