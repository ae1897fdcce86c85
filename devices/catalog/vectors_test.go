// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"

	"edged/devices"
	"edged/devices/catalog"
)

// vector is one case of devices/testdata; README.md there tells the format.
type vector struct {
	id, check, driver, command string
	options                    devices.Options
	request, bytes             []byte
	expected                   []string
	others                     bool   // readings that are not expected are allowed
	readings                   string // that the file speaks of
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	files, err := filepath.Glob("../testdata/*.md")
	if err != nil || len(files) < 27 {
		t.Fatalf("%d files of known answers: %v", len(files), err)
	}
	var all []vector
	for _, file := range files {
		if filepath.Base(file) == "README.md" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(string(text), "\n## ")
		head := vector{driver: value(parts[0], "driver"), others: value(parts[0], "others") == "allowed", readings: value(parts[0], "readings")}
		for _, part := range parts[1:] {
			all = append(all, head.parse(t, part))
		}
	}
	return all
}

// value finds "key: value" at the beginning of a line.
func value(text, key string) string {
	for line := range strings.Lines(text) {
		if v, ok := strings.CutPrefix(line, key+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (v vector) parse(t testing.TB, part string) vector {
	t.Helper()
	v.id, _, _ = strings.Cut(part, "\n")
	facts, rest, _ := strings.Cut(part, "```")
	v.check, v.command = value(facts, "check"), value(facts, "command")
	if d := value(facts, "driver"); d != "" {
		v.driver = d
	}
	v.options = devices.Options{}
	if o := value(facts, "options"); o != "" {
		if _, err := toml.Decode(o, &v.options); err != nil {
			t.Fatalf("%s: options: %v", v.id, err)
		}
	}
	var err error
	if v.request, err = devices.ParseHex(value(facts, "request")); err != nil {
		t.Fatalf("%s: request: %v", v.id, err)
	}
	kind, rest, _ := strings.Cut(rest, "\n")
	block, rest, _ := strings.Cut(rest, "```")
	switch kind {
	case "hex":
		if v.bytes, err = devices.ParseHex(block); err != nil {
			t.Fatalf("%s: %v", v.id, err)
		}
	case "text":
		v.bytes = []byte(block)
	case "text crlf":
		v.bytes = []byte(strings.ReplaceAll(block, "\n", "\r\n"))
	default:
		t.Fatalf("%s: a block of %q", v.id, kind)
	}
	_, rest, _ = strings.Cut(rest, "Expected:\n```\n")
	expected, _, _ := strings.Cut(rest, "```")
	v.expected = strings.Split(strings.TrimSpace(expected), "\n")
	return v
}

func (v vector) rejected() bool { return strings.HasPrefix(v.expected[0], "REJECT") }

// told reports whether the file speaks of a reading, which then must be absent where it is not expected.
func (v vector) told(name string) bool {
	return regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`).MatchString(v.readings)
}

// compare says how readings differ from what is expected.
func (v vector) compare(t *testing.T, got map[string]any) {
	t.Helper()
	var names []string
	for _, line := range v.expected {
		name, text, ok := strings.Cut(line, " = ")
		if !ok {
			continue
		}
		names = append(names, name)
		x, there := got[name]
		switch {
		case !there:
			t.Errorf("%s: %s is absent, want %s", v.id, name, text)
		case strings.HasPrefix(text, `"`):
			if want := strings.Trim(text, `"`); x != want {
				t.Errorf("%s: %s is %v, want %q", v.id, name, x, want)
			}
		case text == "true" || text == "false":
			if x != (text == "true") {
				t.Errorf("%s: %s is %v, want %s", v.id, name, x, text)
			}
		default:
			var want float64
			word, _, _ := strings.Cut(text, " ")
			if err := json.Unmarshal([]byte(word), &want); err != nil {
				t.Fatalf("%s: %s: %v", v.id, line, err)
			}
			n, ok := x.(float64)
			if !ok || math.Abs(n-want) > 1e-3*math.Abs(want) {
				t.Errorf("%s: %s is %v, want %s", v.id, name, x, text)
			}
		}
	}
	for name := range got {
		if !v.others && v.told(name) && !slices.Contains(names, name) {
			t.Errorf("%s: %s should be absent", v.id, name)
		}
	}
}

// run tries the case on a driver as `edged decode` and a bridge would.
func (v vector) run(t *testing.T, d *devices.Driver) {
	t.Helper()
	d.Validate(v.options, func(key, problem string) { t.Errorf("%s: option %s: %s", v.id, key, problem) })
	switch v.check {
	case "stream", "reply":
		var out bytes.Buffer
		c, err := devices.Decode(d, v.options, v.request, bytes.NewReader(v.bytes), &out)
		if err != nil {
			t.Fatalf("%s: %v", v.id, err)
		}
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if v.rejected() && strings.Contains(v.expected[0], "not an error") {
			if out.String() != "{}\n" || c.Bad+c.Garbage != 0 {
				t.Errorf("%s: gives %q, want a sample without readings", v.id, out.String())
			}
			return
		}
		if v.rejected() {
			if out.Len() != 0 || c.Bad+c.Garbage == 0 {
				t.Errorf("%s: gives %q with %d bad frames and %d bytes of garbage, want it refused", v.id, out.String(), c.Bad, c.Garbage)
			}
			return
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || len(lines) != 1 {
			t.Fatalf("%s: decodes to %q (%v), want one object", v.id, out.String(), err)
		}
		v.compare(t, got)
	case "send", "request":
		if got := v.sent(t, d); !bytes.Equal(got, v.bytes) {
			t.Errorf("%s: sends % x, want % x", v.id, got, v.bytes)
		}
	}
}

// sent gives the bytes for the case's command, or of the round's request that comes nearest.
func (v vector) sent(t *testing.T, d *devices.Driver) []byte {
	t.Helper()
	dec, err := d.New(v.options)
	if err != nil {
		t.Fatalf("%s: %v", v.id, err)
	}
	if v.check == "request" {
		var r devices.Request
		for step, ok := 0, true; ok && !bytes.Equal(r.Bytes, v.bytes); step++ {
			r, ok = dec.(devices.Asker).Next(step)
		}
		return r.Bytes
	}
	var set map[string]any
	if err := json.Unmarshal([]byte(v.command), &set); err != nil || len(set) != 1 {
		t.Fatalf("%s: command %q: %v", v.id, v.command, err)
	}
	for name, x := range set {
		value, _ := devices.ValueOf(x)
		r, err := dec.(devices.Commander).Command(name, value)
		if err != nil {
			t.Fatalf("%s: %v", v.id, err)
		}
		return r.Bytes
	}
	return nil
}

func TestKnownAnswers(t *testing.T) {
	tried := map[string]int{}
	for _, v := range loadVectors(t) {
		if d, ok := catalog.Get(v.driver); ok {
			v.run(t, d)
			tried[v.driver]++
		}
	}
	for _, driver := range catalog.Names() {
		d, _ := catalog.Get(driver)
		if _, described := catalog.Description(driver); tried[driver] == 0 && !described && driver != "line" && d.Sensor == nil { // a sensor's stand in its package, too
			t.Errorf("no known answer of %s was tried", driver)
		}
	}
	t.Log(tried)
}

func TestDescriptionsKeepTheirOwnPromises(t *testing.T) {
	files, err := filepath.Glob("*.toml")
	if err != nil || len(files) < 30 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, count, err := catalog.Check(file, text); err != nil || count < 3 {
			t.Errorf("%s: %d tests, want at least 3; %v", file, count, err)
		}
	}
}

// start is the time of the first byte in tests; the n-th byte comes n ms later.
func start() time.Time { return time.Date(2026, 11, 22, 14, 5, 9, 0, time.UTC) }
