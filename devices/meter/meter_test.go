// SPDX-License-Identifier: Apache-2.0

package meter_test

import (
	"bytes"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/meter"
)

func decode(t *testing.T, d *devices.Driver, wire string) (string, devices.Counts) {
	t.Helper()
	var out bytes.Buffer
	c, err := devices.Decode(d, nil, nil, bytes.NewReader([]byte(wire)), &out)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), c
}

const plain = "/ISk5\\2MT382-1004\r\n\r\n1-0:1.7.0(0001.01*kW)\r\n!\r\n"

// TestChecksumThatWentMissing: of a meter that sent one, a telegram without is damaged.
func TestChecksumThatWentMissing(t *testing.T) {
	sim, err := meter.DSMR().Simulate(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 22, 14, 5, 9, 0, time.UTC)
	_, now = sim.Tick(now, nil)
	checked, _ := sim.Tick(now, nil)
	if got, c := decode(t, meter.DSMR(), plain+plain); c.Frames != 2 || got != "{\"power_import\":1010}\n{\"power_import\":1010}\n" {
		t.Errorf("a meter without checksums: %q %+v", got, c)
	}
	if _, c := decode(t, meter.DSMR(), string(checked)+plain); c.Frames != 1 || c.Bad != 1 {
		t.Errorf("a checksum that went missing: %+v", c)
	}
	if got, c := decode(t, meter.DSMR(), "/ISk5\\2MT382-1004\r\n\r\n1-0:1.7.0(0001.01*kW\r\n!\r\n"); c.Frames != 0 {
		t.Errorf("a telegram without a checksum and with a broken line gives %q", got)
	}
}

func TestD0IsAsked(t *testing.T) {
	d := meter.D0()
	dec, err := d.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	sim, err := d.Simulate(nil, 1)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := dec.(devices.Asker).Next(0)
	if _, more := dec.(devices.Asker).Next(1); !ok || more || string(r.Bytes) != "/?!\r\n" {
		t.Errorf("it is asked %q", r.Bytes)
	}
	n := 0
	dec.Feed(sim.Receive(r.Bytes, time.Time{}, nil), time.Time{}, func(s devices.Sample) { n += len(s.Readings) })
	if n != 7 {
		t.Errorf("%d readings", n)
	}
	if got, c := decode(t, d, "/EBZ5DD3 12\r\n\r\n1-0:1.8.0*255(000123.456*kWh)\r\n1-0:16.7.0*255(-00012.3*W)\r\n!\r\n"); got != "{\"energy_import\":123.456,\"power\":-12.3}\n" {
		t.Errorf("a telegram of mode D: %q %+v", got, c)
	}
}

// FuzzMeters: no bytes panic.
func FuzzMeters(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01\xf7\xf7\xf7\x1b\x1b\x1b\x1b\x1a\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		for _, d := range []*devices.Driver{meter.DSMR(), meter.D0(), meter.SML()} {
			decode(t, d, string(wire))
		}
		sml, _ := meter.SML().New(nil)
		whole := append([]byte("\x1b\x1b\x1b\x1b\x01\x01\x01\x01"), wire...) // with a checksum that is right, so that it is read
		whole = append(whole, make([]byte, -len(whole)&3)...)
		whole = append(whole, "\x1b\x1b\x1b\x1b\x1a\x00"...)
		crc := x25(whole)
		sml.Feed(append(whole, byte(crc), byte(crc>>8)), time.Time{}, func(devices.Sample) {})
	})
}

// x25 is CRC-16/X-25, bit by bit.
func x25(p []byte) uint16 {
	crc := ^uint16(0)
	for _, x := range p {
		crc ^= uint16(x)
		for range 8 {
			crc = crc>>1 ^ 0x8408*(crc&1)
		}
	}
	return ^crc
}
