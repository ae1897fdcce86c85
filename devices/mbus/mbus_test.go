// SPDX-License-Identifier: Apache-2.0

package mbus_test

import (
	"testing"
	"time"

	"edged/devices"
	"edged/devices/mbus"
)

func TestRoundOfAsking(t *testing.T) {
	d := mbus.Driver()
	o := devices.Options{"address": int64(7)}
	dec, err := d.New(o)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := d.Simulate(o, 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	keep := func(s devices.Sample) { got = append(got, string(devices.AppendObject(nil, s.Readings))) }
	for step := range 2 {
		r, ok := dec.(devices.Asker).Next(step)
		if !ok {
			t.Fatalf("no request %d", step)
		}
		dec.(devices.Hearer).Sent(r.Bytes)
		dec.Feed(append([]byte{0xff}, sim.Receive(r.Bytes, time.Time{}, nil)...), time.Time{}, keep)
	}
	if _, more := dec.(devices.Asker).Next(2); more || len(got) != 2 || got[0] != "{}" {
		t.Fatalf("%q", got)
	}
	if want := `{"id":20000001,"manufacturer":"EDG","medium":"heat","access":0,"status":0,"energy":5272,"flow_temperature":`; got[1][:len(want)] != want {
		t.Errorf("%s, want %s…", got[1], want)
	}
	dec.Feed([]byte{0xe5}, time.Time{}, keep)
	other, _ := d.Simulate(devices.Options{"address": int64(8)}, 1)
	dec.Feed(other.Receive([]byte{0x10, 0x5b, 8, 0x63, 0x16}, time.Time{}, nil), time.Time{}, keep)
	if len(got) != 2 {
		t.Errorf("an acknowledgement that nobody asked for, or the data of another meter: %q", got[2:])
	}
}

// FuzzTelegrams: no records panic.
func FuzzTelegrams(f *testing.F) {
	f.Add([]byte{0x0d, 0xfc, 3, 'H', 'R', '%', 0x74, 0x22, 0x15, 0x84, 0x40, 0x14, 1, 2, 3, 4})
	f.Fuzz(func(t *testing.T, records []byte) {
		dec, err := mbus.Driver().New(nil)
		if err != nil {
			t.Fatal(err)
		}
		records = records[:min(len(records), 200)]
		b := append([]byte{0x08, 1, 0x72, 1, 0, 0, 0x20, 0, 0, 1, 4, 0, 0, 0, 0}, records...)
		var sum byte
		for _, x := range b {
			sum += x
		}
		n := byte(len(b))
		frame := append(append([]byte{0x68, n, n, 0x68}, b...), sum, 0x16)
		frames := 0
		dec.Feed(frame, time.Time{}, func(s devices.Sample) {
			frames++
			for _, r := range s.Readings {
				if r.Value.Kind() == devices.None || !devices.IsName(r.Name) {
					t.Errorf("% x gives %v", frame, r)
				}
			}
		})
		if frames != 1 {
			t.Errorf("% x gives %d samples", frame, frames)
		}
	})
}
