// SPDX-License-Identifier: Apache-2.0

package modbus

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"edged/devices"
)

// TestKnownRequests compares with the examples of the Modbus specification in testdata, and the sizes of their answers.
func TestKnownRequests(t *testing.T) {
	text, err := os.ReadFile("../testdata/modbus_rtu.md")
	if err != nil {
		t.Fatal(err)
	}
	f := newFraming(false)
	tried := 0
	for part := range strings.SplitSeq(string(text), "\n## ") {
		_, rest, _ := strings.Cut(part, "```hex\n")
		block, rest, _ := strings.Cut(rest, "```")
		_, want, found := strings.Cut(rest, "EXACT unit=")
		if !found {
			continue
		}
		raw, err := devices.ParseHex(block)
		if err != nil {
			t.Fatal(err)
		}
		address, pdu, ok := f.unwrap(raw)
		if !ok {
			t.Fatalf("% x has no CRC", raw)
		}
		var unit, function int
		if _, err := fmt.Sscanf(want, "%d function=%d", &unit, &function); err != nil || int(address) != unit || int(pdu[0]) != function {
			t.Errorf("% x is of unit %d, function %d, want %s", raw, address, pdu[0], want)
		}
		if got := f.wrap(address, pdu); string(got) != string(raw) {
			t.Errorf("% x, want % x", got, raw)
		}
		if function <= 4 {
			at, count := int(pdu[1])<<8|int(pdu[2]), int(pdu[3])<<8|int(pdu[4])
			if got := readPDU(table(function), at, count); string(got) != string(pdu) {
				t.Errorf("% x, want % x", got, pdu)
			}
		}
		var size int
		_, note, _ := strings.Cut(want, "the reply ")
		note = strings.TrimPrefix(strings.TrimPrefix(note, "has "), "is an echo, ")
		if _, err := fmt.Sscanf(note, "%d bytes", &size); err != nil || 1+answerSize(pdu)+2 != size {
			t.Errorf("% x is answered by %d bytes, want %s (%v)", raw, 1+answerSize(pdu)+2, note, err)
		}
		tried++
	}
	if tried < 7 {
		t.Errorf("%d requests", tried)
	}
}

// meter describes a few registers.
func meter() *Description {
	low := RangeOfSimulated{1, 2}
	return &Description{
		Head: devices.Head{Name: "x", Title: "X", Every: "10s"}, Gap: 2, Limit: 8,
		Reading: []ReadingDescription{
			{Name: "b", At: 5, Simulate: &low},
			{Name: "a", At: 2},
			{Name: "far", At: 9},
			{Name: "rare", At: 3, Every: "30s"},
			{Name: "coil", At: 0, Table: "coil"},
			{Name: "end", At: 12},
		},
		Command: []CommandDescription{
			{Name: "setpoint", Kind: "number", At: 7, Scale: new(0.1), Type: "s16", Min: new(-10.0), Max: new(40.0)},
			{Name: "mode", Kind: "enum", At: 8, Values: map[string]int{"off": 0, "heat": 3}},
			{Name: "long", Kind: "number", At: 9, Type: "u32", Min: new(0.0), Max: new(100000.0)},
		},
	}
}

func TestReadsAreMerged(t *testing.T) {
	d, err := meter().Driver()
	if err != nil {
		t.Fatal(err)
	}
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	var rounds []string
	for range 4 {
		var round []string
		for step := 0; ; step++ {
			r, ok := dec.(devices.Asker).Next(step)
			if !ok {
				break
			}
			_, pdu, _ := newFraming(false).unwrap(r.Bytes)
			round = append(round, fmt.Sprintf("%d:%d+%d", pdu[0], int(pdu[1])<<8|int(pdu[2]), int(pdu[3])<<8|int(pdu[4])))
		}
		rounds = append(rounds, strings.Join(round, " "))
	}
	// Between 2 and 5, and 9 and 12, lie no more than the gap, between 5 and 9 do. The rare one is asked in each third round.
	want := "1:0+1 3:2+4 3:9+4 3:3+1|1:0+1 3:2+4 3:9+4|1:0+1 3:2+4 3:9+4|1:0+1 3:2+4 3:9+4 3:3+1"
	if got := strings.Join(rounds, "|"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestCommandsOnRegisters(t *testing.T) {
	d, err := meter().Driver()
	if err != nil {
		t.Fatal(err)
	}
	dec, _ := d.New(nil)
	sim, _ := d.Simulate(nil, 1)
	for _, c := range []struct {
		name  string
		value devices.Value
		want  string
	}{
		{"setpoint", devices.Num(21.5), `setpoint{"setpoint":21.5}`},
		{"setpoint", devices.Num(-3), `setpoint{"setpoint":-3}`},
		{"setpoint", devices.Num(40.5), "setpoint takes a number from -10 to 40, not 40.5"},
		{"mode", devices.Str("heat"), `mode{"mode":"heat"}`},
		{"mode", devices.Str("cool"), `mode takes one of heat, off, not "cool"`},
		{"long", devices.Num(70000), "long{}"},
		{"lng", devices.Num(1), `there is no command "lng"; possible: setpoint, mode, long`},
	} {
		r, err := dec.(devices.Commander).Command(c.name, c.value)
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			dec.(devices.Hearer).Sent(r.Bytes)
			dec.Feed(sim.Receive(r.Bytes, time.Time{}, nil), time.Time{}, func(s devices.Sample) {
				got += s.Answer + string(devices.AppendObject(nil, s.Readings)) + s.Refusal
			})
		}
		if got != c.want {
			t.Errorf("%s = %v: %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

// TestEchoIsNoAnswerToACommand: on a line that brings everything back, a dead device has not obeyed.
func TestEchoIsNoAnswerToACommand(t *testing.T) {
	d, err := meter().Driver()
	if err != nil {
		t.Fatal(err)
	}
	dec, _ := d.New(nil)
	sim, _ := d.Simulate(nil, 1)
	n := 0
	count := func(devices.Sample) { n++ }
	read, _ := dec.(devices.Asker).Next(0)
	dec.(devices.Hearer).Sent(read.Bytes)
	dec.Feed(append(append([]byte{}, read.Bytes...), sim.Receive(read.Bytes, time.Time{}, nil)...), time.Time{}, count)
	r, err := dec.(devices.Commander).Command("mode", devices.Str("heat"))
	if err != nil || n != 1 {
		t.Fatal(n, err)
	}
	dec.(devices.Hearer).Sent(r.Bytes)
	dec.Feed(r.Bytes, time.Time{}, count)
	if n != 1 {
		t.Error("the echo passes for the answer")
	}
	dec.Feed(r.Bytes, time.Time{}, count)
	if n != 2 {
		t.Error("the answer behind the echo is not read")
	}
}

func TestExceptionsAreTold(t *testing.T) {
	d, _ := meter().Driver()
	dec, _ := d.New(nil)
	r, _ := dec.(devices.Commander).Command("mode", devices.Str("heat"))
	dec.(devices.Hearer).Sent(r.Bytes)
	got := ""
	dec.Feed(newFraming(false).wrap(1, []byte{0x86, 3}), time.Time{}, func(s devices.Sample) { got = s.Answer + ": " + s.Refusal })
	if want := "mode: the device does not take this value (exception 3)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestDescriptionsThatCannotBe(t *testing.T) {
	for want, change := range map[string]func(*Description){
		"limit: must be 1 to 125 registers": func(d *Description) { d.Limit = 200 },
		"gap: must be 0 to the limit":       func(d *Description) { d.Gap = 9 },
		`reading[0].table: "coils" is not known; possible: "holding", "input", "coil", "discrete"`: func(d *Description) { d.Reading[0].Table = "coils" },
		`reading[1].name: another reading is named "b"`:                                            func(d *Description) { d.Reading[1].Name = "b" },
		"reading[0].at: does not lie within registers 0 to 65535, or is more than the limit":       func(d *Description) { d.Reading[0].At = 65536 },
		`command[0].table: only "holding" and "coil" can be written`:                               func(d *Description) { d.Command[0].Table = "input" },
		"command[0]: needs min and max within what its type can hold":                              func(d *Description) { d.Command[0].Max = new(1e9) },
		`command[1].kind: "x" is not known; possible: "bool", "number", "enum", "trigger"`:         func(d *Description) { d.Command[1].Kind = "x" },
	} {
		d := meter()
		change(d)
		if _, err := d.Driver(); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// FuzzAnswers: no bytes panic, and none give readings that no request asked for.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{1, 3, 16, 0, 0}, false)
	f.Add([]byte{0, 1, 0, 0, 0, 5, 1, 0x83, 2}, true)
	f.Fuzz(func(t *testing.T, wire []byte, tcp bool) {
		d, err := meter().Driver()
		if err != nil {
			t.Fatal(err)
		}
		framing := map[bool]string{true: "tcp", false: "rtu"}[tcp]
		dec, err := d.New(devices.Options{"framing": framing})
		if err != nil {
			t.Fatal(err)
		}
		dec.Feed(wire, time.Time{}, func(s devices.Sample) { t.Errorf("% x gives %v", wire, s) })
		r, _ := dec.(devices.Asker).Next(0)
		dec.(devices.Hearer).Sent(r.Bytes)
		dec.Feed(wire, time.Time{}, func(devices.Sample) {})
		dec.(devices.Hearer).Sent(wire)
		dec.Feed(wire, time.Time{}, func(devices.Sample) {})
		dec.End(func(devices.Sample) {})
		if c := dec.Counts(); c.Pending != 0 {
			t.Errorf("%+v", c)
		}
		sim, _ := d.Simulate(devices.Options{"framing": framing}, 1)
		sim.Receive(wire, time.Time{}, nil)
	})
}
