// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge/port"
	"edged/bridge/scan"
	"edged/devices"
	"edged/devices/catalog"
)

// wire is a port at whose end somebody sends at one rate; what another rate makes of it is computed bit by bit.
type wire struct {
	port.Port
	sends, now port.Mode
	wrote      bool
}

func (w *wire) SetMode(m port.Mode) error { w.now = m; return nil }

func (w *wire) Write(p []byte) (int, error) { w.wrote = true; return len(p), nil }

func (w *wire) Read(p []byte) (int, error) {
	buf := make([]byte, len(p)/32)
	n, err := w.Port.Read(buf)
	return copy(p, resample(buf[:n], w.sends, w.now)), err
}

// resample gives what a UART in another mode reads when p is sent.
func resample(p []byte, sent, read port.Mode) []byte {
	if sent == read {
		return p
	}
	var bits []bool // of the line, idle before and after
	idle := func(n int) {
		for range n {
			bits = append(bits, true)
		}
	}
	idle(12)
	for _, x := range p {
		bits = append(bits, false)
		ones := 0
		for i := range sent.DataBits {
			bit := x>>i&1 == 1
			bits = append(bits, bit)
			if bit {
				ones++
			}
		}
		if sent.Parity == 'E' {
			bits = append(bits, ones%2 == 1)
		}
		idle(sent.StopBits)
	}
	idle(200)
	level := func(t float64) bool { // at a time in bits of the reader
		i := int(t * float64(sent.Baud) / float64(read.Baud))
		return i >= len(bits) || bits[i]
	}
	var out []byte
	end := float64(len(bits)) * float64(read.Baud) / float64(sent.Baud)
	for t := 0.0; t < end; {
		if level(t) {
			t += 0.125
			continue
		}
		var x byte
		for i := range read.DataBits {
			if level(t + 1.5 + float64(i)) {
				x |= 1 << i
			}
		}
		out = append(out, x)
		t += float64(read.DataBits) + 1.5
		if read.Parity != 'N' {
			t++
		}
		for !level(t) && t < end { // a break, or the middle of a byte: wait for the line to be idle
			t += 0.125
		}
	}
	return out
}

// listen has a simulated device send in a mode, in a bubble.
func listen(t *testing.T, peer port.Peer, sends port.Mode, drivers []*devices.Driver) (r scan.Report, took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		sys := port.New("", slog.New(slog.DiscardHandler))
		p, err := sys.Open(t.Context(), port.Request{Name: port.Sim, Peer: func() port.Peer { return peer }})
		if err != nil {
			t.Fatal(err)
		}
		w := &wire{Port: p, sends: sends}
		begun := time.Now()
		r, err = scan.Listen(t.Context(), w, scan.Listening{Drivers: drivers, Modes: scan.Modes(drivers), Dwell: 5 * time.Second})
		took = time.Since(begun)
		if err := errors.Join(err, p.Close()); err != nil {
			t.Error(err)
		}
		if w.wrote {
			t.Error("it wrote to the port")
		}
	})
	return r, took
}

// TestEveryDriverThatSpeaksByItselfIsFound has each simulator speak in its driver's mode.
func TestEveryDriverThatSpeaksByItselfIsFound(t *testing.T) {
	drivers := catalog.All()
	tried := 0
	for _, d := range drivers {
		if d.Every > 0 || d.Event || d.Simulate == nil || slices.ContainsFunc(d.Options, func(o devices.OptionInfo) bool { return o.Required }) {
			continue
		}
		sim, err := d.Simulate(nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		mode, err := port.ParseSerial(d.Serial)
		if err != nil {
			t.Fatal(err)
		}
		r, took := listen(t, sim, mode, drivers)
		if r.Silent() {
			continue // it speaks only when it is asked, or at events
		}
		tried++
		m := r.Match
		if m == nil || !m.Proven || m.Mode != mode || m.Driver != d.Name && !slices.Contains(m.Also, d.Name) {
			t.Errorf("%s at %v: found %+v after %v, heard %+v", d.Name, mode, m, took, r.Heard)
		}
	}
	if tried < 8 {
		t.Errorf("only %d drivers were tried", tried)
	}
}

// TestLinesOfTextAreFoundAtTheirRate has text come at rates that are tried late.
func TestLinesOfTextAreFoundAtTheirRate(t *testing.T) {
	line, ok := catalog.Get("line")
	if !ok {
		t.Fatal("no driver line")
	}
	for _, c := range []struct {
		text, serial string // one line; %d is a number that changes
		want         map[string]any
		readings     string
	}{
		{`{"temp": 2%d.5, "door": "open"}`, "115200 8N1", map[string]any{"format": "json"}, `{"temp":29.5,"door":"open"}`},
		{"T=21.%d,H=48", "9600 8N1", map[string]any{"format": "kv"}, `{"t":21.9,"h":48}`},
		{"T=21.%d H=48", "2400 8N1", map[string]any{"format": "kv"}, `{"t":21.9,"h":48}`},
		{"12.%d;1013;48", "57600 8N1", map[string]any{"format": "csv", "separator": ";"}, `{"column_1":12.9,"column_2":1013,"column_3":48}`},
		{"Temp 2%d C", "19200 8N1", map[string]any{"format": "template", "parse": "Temp {value} C"}, `{"value":29}`},
		{"{a} %d and -2.5", "38400 8N1", map[string]any{"format": "template", "parse": "{{a}} {value_1} and {value_2}"}, `{"value_1":9,"value_2":-2.5}`},
	} {
		mode, err := port.ParseSerial(c.serial)
		if err != nil {
			t.Fatal(err)
		}
		r, took := listen(t, &typist{line: c.text}, mode, catalog.All())
		m := r.Match
		if m == nil || m.Driver != line.Name || m.Mode != mode || m.Proven || fmt.Sprint(m.Options) != fmt.Sprint(c.want) {
			t.Errorf("%q at %s: found %+v after %v, heard %+v", c.text, c.serial, m, took, r.Heard)
			continue
		}
		got := string(devices.AppendObject(nil, m.Readings))
		if shape(got) != shape(c.readings) {
			t.Errorf("%q: readings %s, want those of %s", c.text, got, c.readings)
		}
		for _, h := range r.Heard[:len(r.Heard)-1] {
			if h.Readable > 0.6 {
				t.Errorf("%q at %s: %.2f of it are readable at %v", c.text, c.serial, h.Readable, h.Mode)
			}
		}
	}
}

// shape is a text with each digit the same.
func shape(s string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '0'
		}
		return r
	}, s)
}

// typist writes a line each 700 ms.
type typist struct {
	line string
	n    int
	next time.Time
}

func (y *typist) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if y.next.IsZero() {
		y.next = now
	}
	if !now.Before(y.next) {
		text := y.line
		if strings.Contains(text, "%d") {
			text = fmt.Sprintf(text, y.n%10)
		}
		out = append(out, text+"\r\n"...)
		y.n++
		y.next = y.next.Add(700 * time.Millisecond)
	}
	return out, y.next
}

func (y *typist) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

// noise sends bytes that are nothing.
type noise struct {
	x    uint32
	next time.Time
}

func (n *noise) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if !now.Before(n.next) {
		for range 40 {
			n.x = n.x*1664525 + 1013904223
			out = append(out, byte(n.x>>24))
		}
		n.next = now.Add(300 * time.Millisecond)
	}
	return out, n.next
}

func (n *noise) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

// silent says nothing.
type silent struct{}

func (silent) Tick(_ time.Time, out []byte) ([]byte, time.Time) { return out, time.Time{} }
func (silent) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

func TestNoiseIsNothing(t *testing.T) {
	mode := port.Mode{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}
	r, took := listen(t, &noise{x: 1}, mode, catalog.All())
	if r.Match != nil || r.Silent() || len(r.Heard) < 8 || took > 3*time.Minute {
		t.Errorf("found %+v after %v, heard %+v", r.Match, took, r.Heard)
	}
	r, took = listen(t, silent{}, mode, catalog.All())
	if r.Match != nil || !r.Silent() || took > 6*time.Second {
		t.Errorf("a silent port: found %+v after %v, heard %+v", r.Match, took, r.Heard)
	}
}

func TestListeningEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := port.New("", slog.New(slog.DiscardHandler))
		p, err := sys.Open(t.Context(), port.Request{Name: port.Sim, Peer: func() port.Peer { return silent{} }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w := &wire{Port: p, sends: port.Mode{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}}
		_, err = scan.Listen(ctx, w, scan.Listening{Drivers: catalog.All(), Modes: scan.Modes(nil), Dwell: time.Hour})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ends with %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}
