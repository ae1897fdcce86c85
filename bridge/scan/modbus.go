// SPDX-License-Identifier: Apache-2.0

package scan

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"edged/bridge/port"
	"edged/devices/checksum"
)

// Asking is how Modbus addresses are looked for.
type Asking struct {
	Modes    []port.Mode
	From, To byte          // addresses, 1 to 247
	Within   time.Duration // how long a device may take to begin its answer

	Told  func(port.Mode) // before each mode
	Found func(Answer)
}

// Answer is a Modbus device that answered.
type Answer struct {
	Mode    port.Mode
	Address byte
	Code    byte // of its exception; 0: it gave a register
}

// ModbusModes are the usual ones of Modbus RTU, the likeliest first.
func ModbusModes() []port.Mode {
	var modes []port.Mode
	for _, baud := range []int{9600, 19200, 38400, 115200, 4800, 2400} {
		for _, parity := range []byte{'N', 'E'} {
			modes = append(modes, port.Mode{Baud: baud, DataBits: 8, Parity: parity, StopBits: 1})
		}
	}
	return modes
}

// Modbus asks each address, in each mode, for its first holding register, which changes nothing in a device. Whoever
// answers, and be it that there is no such register, is there.
func Modbus(ctx context.Context, p port.Tunable, a Asking) error {
	for _, m := range a.Modes {
		if err := p.SetMode(m); err != nil {
			return err
		}
		a.Told(m)
		for address := int(a.From); address <= int(a.To); address++ {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			answer, ok, err := a.ask(p, m, byte(address))
			if err != nil {
				return err
			}
			if ok {
				a.Found(answer)
			}
		}
	}
	return nil
}

// ask writes one request and waits for its answer.
func (a Asking) ask(p port.Port, m port.Mode, address byte) (answer Answer, ok bool, err error) {
	// Address, function 3 (read holding registers), register 0, one of it, CRC (Modbus over Serial Line V1.02, 2.5.1).
	request := []byte{address, 3, 0, 0, 0, 1}
	request = binary.LittleEndian.AppendUint16(request, crc(request))
	const characters = 8 + 7 + 4 // of request, answer and the pause between
	until := time.Now().Add(a.Within + characters*11*time.Second/time.Duration(m.Baud))
	if err := errors.Join(p.SetWriteDeadline(until), p.SetReadDeadline(until)); err != nil {
		return answer, false, err
	}
	if _, err := p.Write(request); err != nil {
		return answer, false, fmt.Errorf("write a request: %w", err)
	}
	var got []byte
	buf := make([]byte, 256)
	for {
		n, err := p.Read(buf)
		got = append(got, buf[:n]...)
		if code, found := answered(got, address); found {
			return Answer{m, address, code}, true, nil
		}
		if errors.Is(err, os.ErrDeadlineExceeded) || len(got) > 1024 {
			return answer, false, nil
		}
		if err != nil {
			return answer, false, fmt.Errorf("read an answer: %w", err)
		}
	}
}

// answered looks for the answer among what came, such as an echo of the request.
func answered(got []byte, address byte) (code byte, found bool) {
	for i := range got {
		switch b := got[i:]; {
		case len(b) < 5 || b[0] != address:
		case b[1] == 0x83 && valid(b[:5]):
			return b[2], true
		case b[1] == 3 && b[2] == 2 && len(b) >= 7 && valid(b[:7]):
			return 0, true
		}
	}
	return 0, false
}

func valid(frame []byte) bool {
	n := len(frame) - 2
	return binary.LittleEndian.Uint16(frame[n:]) == crc(frame[:n])
}

func crc(p []byte) uint16 {
	kind, _ := checksum.New("crc16-modbus")
	return uint16(kind.Sum(p))
}
