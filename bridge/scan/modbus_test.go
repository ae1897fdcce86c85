// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"encoding/binary"
	"log/slog"
	"slices"
	"testing"
	"time"

	"edged/bridge/port"
	"edged/bridge/scan"
	"edged/devices/checksum"
)

func withCRC(p ...byte) []byte {
	kind, _ := checksum.New("crc16-modbus")
	return binary.LittleEndian.AppendUint16(p, uint16(kind.Sum(p)))
}

// TestModbusFindsWhoAnswers has two devices on a line that brings back what is written: one has the register, one has not,
// and one at another address answers to everything.
func TestModbusFindsWhoAnswers(t *testing.T) {
	tty, err := port.OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		var got []byte
		buf := make([]byte, 64)
		for {
			n, err := tty.Read(buf)
			if err != nil {
				return
			}
			got = append(got, buf[:n]...)
			for len(got) >= 8 {
				request := got[:8]
				got = got[8:]
				out := slices.Clone(request) // the echo
				switch request[0] {
				case 5:
					out = append(out, withCRC(5, 3, 2, 0x12, 0x34)...)
				case 7:
					out = append(out, withCRC(7, 0x83, 2)...)
				case 8:
					out = append(out, withCRC(6, 3, 2, 0, 0)...) // whom nobody asked
				case 9:
					out = append(out, 9, 3, 2, 0, 0, 0xff, 0xff) // damaged
				}
				if _, err := tty.Write(out); err != nil {
					return
				}
			}
		}
	}()
	p, err := port.New("", slog.New(slog.DiscardHandler)).Open(t.Context(), port.Request{Name: tty.Name, Mode: scan.ModbusModes()[0]})
	if err != nil {
		t.Fatal(err)
	}
	var found []scan.Answer
	var modes []port.Mode
	a := scan.Asking{
		Modes: scan.ModbusModes()[:1], From: 4, To: 10, Within: 300 * time.Millisecond,
		Told: func(m port.Mode) { modes = append(modes, m) }, Found: func(x scan.Answer) { found = append(found, x) },
	}
	if err := scan.Modbus(t.Context(), p.(port.Tunable), a); err != nil {
		t.Fatal(err)
	}
	m := scan.ModbusModes()[0]
	if want := []scan.Answer{{m, 5, 0}, {m, 7, 2}}; !slices.Equal(found, want) || len(modes) != 1 {
		t.Errorf("found %+v in %v, want %+v", found, modes, want)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := tty.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
