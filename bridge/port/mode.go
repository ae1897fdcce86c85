// SPDX-License-Identifier: Apache-2.0

package port

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.bug.st/serial"
)

// Mode is how a UART speaks.
type Mode struct {
	Baud     int  // bits per second, 50 to 4,000,000
	DataBits int  // 5 to 8
	Parity   byte // 'N', 'E', 'O', 'M' or 'S'
	StopBits int  // 1 or 2
}

// String returns the mode as ParseSerial reads it, such as "9600 8N1".
func (m Mode) String() string {
	return fmt.Sprintf("%d %d%c%d", m.Baud, m.DataBits, m.Parity, m.StopBits)
}

// Character returns how long one character takes: start bit, data, parity and stop bits.
func (m Mode) Character() time.Duration {
	bits := 1 + m.DataBits + m.StopBits
	if m.Parity != 'N' {
		bits++
	}
	return time.Duration(bits) * time.Second / time.Duration(m.Baud)
}

// Silence returns how long a line must be quiet between two frames of Modbus: 3.5 characters of 11 bits, above 19200 baud
// 1.75 ms (MODBUS over Serial Line V1.02, 2.5.1.1).
func (m Mode) Silence() time.Duration {
	if m.Baud > 19200 {
		return 1750 * time.Microsecond
	}
	return 77 * time.Second / 2 / time.Duration(m.Baud)
}

const (
	slowest = 50
	fastest = 4_000_000
)

// ParseSerial reads the key serial, such as "9600 8N1". "9600" alone means 8N1; "" is 9600 8N1.
func ParseSerial(s string) (Mode, error) {
	m := Mode{Baud: 9600, DataBits: 8, Parity: 'N', StopBits: 1}
	words := strings.Fields(s)
	if len(words) == 0 {
		return m, nil
	}
	baud, err := strconv.Atoi(words[0])
	switch {
	case err != nil:
		return m, fmt.Errorf("%q is no baud rate: write %q", words[0], "9600 8N1")
	case baud < slowest || baud > fastest:
		return m, fmt.Errorf("%d baud: a rate is %d to %d", baud, slowest, fastest)
	case len(words) > 2:
		return m, fmt.Errorf("%q is not understood after %q: write %q", strings.Join(words[2:], " "), strings.Join(words[:2], " "), "9600 8N1")
	}
	m.Baud = baud
	if len(words) == 1 {
		return m, nil
	}
	f := strings.ToUpper(words[1])
	if len(f) != 3 {
		return m, fmt.Errorf("%q is not data bits, parity and stop bits: write it like %q", words[1], "8N1")
	}
	switch {
	case f[0] < '5' || f[0] > '8':
		return m, fmt.Errorf("%q data bits in %q: 5, 6, 7 or 8", f[:1], words[1])
	case !strings.Contains("NEOMS", f[1:2]):
		return m, fmt.Errorf("parity %q in %q: N (none), E (even), O (odd), M (mark) or S (space)", f[1:2], words[1])
	case f[2] != '1' && f[2] != '2':
		return m, fmt.Errorf("%q stop bits in %q: 1 or 2", f[2:], words[1])
	}
	m.DataBits, m.Parity, m.StopBits = int(f[0]-'0'), f[1], int(f[2]-'0')
	return m, nil
}

// library translates the mode.
func (m Mode) library() (*serial.Mode, error) {
	if m.Baud < slowest || m.Baud > fastest {
		return nil, fmt.Errorf("%d baud: a rate is %d to %d", m.Baud, slowest, fastest)
	}
	parity, ok := map[byte]serial.Parity{
		'N': serial.NoParity, 'E': serial.EvenParity, 'O': serial.OddParity, 'M': serial.MarkParity, 'S': serial.SpaceParity,
	}[m.Parity]
	if !ok || m.DataBits < 5 || m.DataBits > 8 || m.StopBits < 1 || m.StopBits > 2 {
		return nil, fmt.Errorf("serial mode %v is not possible", m)
	}
	stop := serial.OneStopBit
	if m.StopBits == 2 {
		stop = serial.TwoStopBits
	}
	return &serial.Mode{BaudRate: m.Baud, DataBits: m.DataBits, Parity: parity, StopBits: stop}, nil
}
