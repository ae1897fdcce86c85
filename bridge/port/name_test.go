// SPDX-License-Identifier: Apache-2.0

package port_test

import (
	"strings"
	"testing"

	"edged/bridge/port"
)

func TestParseSerial(t *testing.T) {
	for _, c := range []struct{ in, want, wrong string }{
		{"", "9600 8N1", ""},
		{"9600", "9600 8N1", ""},
		{"115200 8N1", "115200 8N1", ""},
		{"  300   7e1 ", "300 7E1", ""},
		{"250000 8O2", "250000 8O2", ""},
		{"9600 8M1", "9600 8M1", ""},
		{"49 8N1", "", "49 baud"},
		{"-1 8N1", "", "-1 baud"},
		{"4000001", "", "4000001 baud"},
		{"99999999999999999999", "", "no baud rate"},
		{"fast", "", `"fast" is no baud rate`},
		{"9600 8X1", "", `parity "X"`},
		{"9600 9N1", "", `"9" data bits`},
		{"9600 8N3", "", `"3" stop bits`},
		{"9600 8N", "", "data bits, parity and stop bits"},
		{"9600 8N1.5", "", "data bits, parity and stop bits"},
		{"9600 8N1 rts", "", `"rts" is not understood`},
	} {
		m, err := port.ParseSerial(c.in)
		switch {
		case c.wrong == "" && (err != nil || m.String() != c.want):
			t.Errorf("%q: %v, %v; want %s", c.in, m, err, c.want)
		case c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)):
			t.Errorf("%q: %v, want it to say %q", c.in, err, c.wrong)
		}
	}
}

func FuzzParseSerial(f *testing.F) {
	f.Add("9600 8N1")
	f.Fuzz(func(t *testing.T, s string) {
		m, err := port.ParseSerial(s)
		if err != nil {
			return
		}
		if again, err := port.ParseSerial(m.String()); err != nil || again != m {
			t.Errorf("%q: %v read again is %v, %v", s, m, again, err)
		}
	})
}

func TestCheckName(t *testing.T) {
	for _, good := range []string{
		"/dev/ttyUSB0", "/dev/serial/by-id/usb-FTDI-if00-port0", "usb:10c4:ea60", "usb:10C4:EA60:00D0", "usb:0403:6001:A1@1-1.4",
		"usb:0403:6010@1-1:1.1", "tcp://192.168.1.5:4001", "tcp://[::1]:4001", "sim",
	} {
		if err := port.CheckName(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for name, says := range map[string]string{
		"": "needs a name", "ttyUSB0": "write /dev/", "usb:10c4": "usb:VID:PID", "usb:10c4:zzzz": "four hexadecimal digits",
		"usb:10c4:ea60:": "serial number is empty", "usb:10c4:ea60@": "port path", "tcp://host": "tcp://HOST:PORT",
		"tcp://:4001": "tcp://HOST:PORT", "tcp://host:70000": "1 to 65535", "simulator": "write /dev/",
	} {
		if err := port.CheckName(name); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want it to say %q", name, err, says)
		}
	}
}
