// SPDX-License-Identifier: Apache-2.0

package capture_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"edged/bridge/port/capture"
)

var begun = time.Date(2026, 11, 24, 16, 10, 0, 998231000, time.UTC)

func at(ms int) time.Time { return begun.Add(time.Duration(ms) * time.Millisecond) }

func TestWriter(t *testing.T) {
	var b bytes.Buffer
	w, err := capture.NewWriter(&b, "office, /dev/ttyUSB0, 9600 8N1")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []capture.Piece{
		{at(0), false, []byte("T=2")},
		{at(10), false, []byte("1.4\r\nT=2")}, // the end of a line and the next line's beginning
		{at(20), false, []byte("2\r\n")},
		{at(30), false, []byte("hum")},
		{at(200), false, []byte("id\"21 °C")}, // after a pause: another piece
		{at(210), true, []byte("v=1\n")},      // what is written ends it
		{at(220), false, []byte{0xff, 0x86, 0x01}},
		{at(230), false, []byte{0x41, 0x00}},
		{at(240), false, bytes.Repeat([]byte{0xaa}, 257)},
		{at(250), false, bytes.Repeat([]byte("x"), 300)},
	} {
		if err := w.Add(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Settle(at(300)); err != nil {
		t.Fatal(err)
	}
	before := b.Len()
	if err := w.Settle(at(400)); err != nil || b.Len() == before {
		t.Errorf("text that paused was not written: %v", err)
	}
	want := `# edged capture 1: time, < from the device or > to it, bytes
# office, /dev/ttyUSB0, 9600 8N1
2026-11-24T16:10:00.998231Z < "T=21.4\r\n"
2026-11-24T16:10:01.008231Z < "T=22\r\n"
2026-11-24T16:10:01.028231Z < "hum"
2026-11-24T16:10:01.198231Z < "id\"21 °C"
2026-11-24T16:10:01.208231Z > "v=1\n"
2026-11-24T16:10:01.218231Z < ff 86 01
2026-11-24T16:10:01.228231Z < 41 00
2026-11-24T16:10:01.238231Z <` + strings.Repeat(" aa", 256) + `
2026-11-24T16:10:01.238231Z < aa
2026-11-24T16:10:01.248231Z < "` + strings.Repeat("x", 256) + `"
2026-11-24T16:10:01.248231Z < "` + strings.Repeat("x", 44) + `"
`
	if b.String() != want {
		t.Errorf("the capture is\n%s\nwant\n%s", b.String(), want)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		line  string
		want  string // bytes
		sent  bool
		wrong string
	}{
		{"2026-11-24T16:10:00.5Z < 42 4d", "BM", false, ""},
		{"2026-11-24T17:10:00+01:00 > 424D", "BM", true, ""},
		{`2026-11-24T16:10:00.5Z <   "a\r\n\x00é"  `, "a\r\n\x00é", false, ""},
		{"# a comment", "", false, ""},
		{"  ", "", false, ""},
		{"yesterday < 42", "", false, "no time"},
		{"2026-11-24T16:10:00Z 42", "", false, "no direction"},
		{"2026-11-24T16:10:00Z <", "", false, "no bytes"},
		{"2026-11-24T16:10:00Z < 4", "", false, "hexadecimal"},
		{`2026-11-24T16:10:00Z < "a`, "", false, "text in quotes"},
	} {
		p, ok, err := capture.Parse([]byte(c.line))
		switch {
		case c.wrong != "":
			if err == nil || !strings.Contains(err.Error(), c.wrong) {
				t.Errorf("%q: %v, want it to say %q", c.line, err, c.wrong)
			}
		case err != nil || ok != (c.want != "") || string(p.Bytes) != c.want || p.Sent != c.sent:
			t.Errorf("%q: %q %v %v %v, want %q", c.line, p.Bytes, p.Sent, ok, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`2026-11-24T16:10:00.998231Z < "T=21.4\r\n"`))
	f.Add([]byte("2026-11-24T16:10:00.998231Z > ff 86"))
	f.Fuzz(func(t *testing.T, line []byte) {
		p, ok, err := capture.Parse(line)
		if err != nil || !ok {
			return
		}
		if y := p.At.UTC().Year(); y < 0 || y > 9999 {
			return
		}
		again, ok, err := capture.Parse(capture.Append(nil, p))
		if err != nil || !ok || !again.At.Equal(p.At.Truncate(time.Microsecond)) || again.Sent != p.Sent || !bytes.Equal(again.Bytes, p.Bytes) {
			t.Errorf("%q: %+v was written and read as %+v, %v", line, p, again, err)
		}
	})
}

// played collects what a player sends until a time, millisecond by millisecond, as "ms bytes".
type played struct {
	*capture.Player
	all []string
}

func (p *played) until(t *testing.T, from, to int) {
	t.Helper()
	for ms := from; ms < to; ms++ {
		for {
			out, next := p.Tick(at(ms), nil)
			if len(out) > 0 {
				p.all = append(p.all, at(ms).Sub(begun).String()+" "+string(out))
			}
			if next.After(at(ms)) {
				break
			}
		}
	}
}

func read(t *testing.T, text string) *played {
	t.Helper()
	pieces, err := capture.Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := capture.NewPlayer(pieces)
	if err != nil {
		t.Fatal(err)
	}
	return &played{Player: p}
}

func TestPlayerKeepsTheTimesAndBeginsAgain(t *testing.T) {
	p := read(t, capture.Mark+`
2026-11-24T16:10:00.000Z < "a"
2026-11-24T16:10:00.250Z < "b"
2026-11-24T16:10:00.250Z < "c"
2026-11-24T16:10:00.100Z < "d"
`) // the clock was set back before d
	p.until(t, 0, 1501)
	want := []string{"0s a", "250ms b", "250ms c", "250ms d", "1.25s a", "1.5s b", "1.5s c", "1.5s d"}
	if !reflect.DeepEqual(p.all, want) {
		t.Errorf("played %q, want %q", p.all, want)
	}
}

func TestPlayerAnswersWhatIsWritten(t *testing.T) {
	p := read(t, `
2026-11-24T16:10:00.000Z > "t?"
2026-11-24T16:10:00.050Z < "21"
2026-11-24T16:10:05.000Z > "h?"
2026-11-24T16:10:05.060Z < "48"
`)
	p.until(t, 0, 500)
	if len(p.all) > 0 {
		t.Errorf("played %q before anything was written", p.all)
	}
	for _, w := range []struct {
		ms   int
		text string
	}{{500, "h?"}, {1000, "x?"}, {1500, "h?"}, {2000, "t?"}} {
		p.Receive([]byte(w.text), at(w.ms), nil)
		p.until(t, w.ms, w.ms+500)
	}
	if want := []string{"560ms 48", "1.56s 48", "2.05s 21"}; !reflect.DeepEqual(p.all, want) {
		t.Errorf("played %q, want %q", p.all, want)
	}
	// Nobody writes what the recording has: playing goes on a minute after it was due.
	p.until(t, 2500, 67100)
	if want := "1m7.06s 48"; len(p.all) != 4 || p.all[3] != want {
		t.Errorf("played %q, want %q at the end", p.all, want)
	}
}

func TestPlayerWantsSomethingToPlay(t *testing.T) {
	if _, err := capture.NewPlayer([]capture.Piece{{begun, true, []byte("t?")}}); err == nil {
		t.Error("a capture in which the device sent nothing is played")
	}
	if _, err := capture.Read(strings.NewReader("# a\n\nnonsense\n")); err == nil || !strings.HasPrefix(err.Error(), "line 3: ") {
		t.Errorf("nonsense in line 3: %v", err)
	}
}
