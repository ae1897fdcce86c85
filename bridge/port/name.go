// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Sim is the name of the port behind which the driver's simulator is.
const Sim = "sim"

const (
	usbScheme    = "usb:"
	tcpScheme    = "tcp://"
	execScheme   = "exec:"
	replayScheme = "replay:"
)

// CheckName says what is wrong with the name of a port, without looking whether it is there.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("a port needs a name, such as /dev/ttyUSB0 or usb:10c4:ea60")
	case name == Sim:
		return nil
	case strings.HasPrefix(name, usbScheme):
		_, err := parseUSB(name)
		return err
	case strings.HasPrefix(name, tcpScheme):
		host, port, err := net.SplitHostPort(strings.TrimPrefix(name, tcpScheme))
		if err != nil || host == "" {
			return fmt.Errorf("%q is not tcp://HOST:PORT", name)
		}
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("%q: %q is no TCP port, they go from 1 to 65535", name, port)
		}
		return nil
	case strings.HasPrefix(name, execScheme):
		if strings.TrimSpace(name[len(execScheme):]) == "" {
			return fmt.Errorf("%q names no program: write exec:COMMAND", name)
		}
		return nil
	case strings.HasPrefix(name, replayScheme):
		if name == replayScheme {
			return fmt.Errorf("%q names no file: write replay:FILE", name)
		}
		return nil
	case strings.HasPrefix(name, "/"):
		return nil
	default:
		return fmt.Errorf("%q is no port: write /dev/…, usb:VID:PID, tcp://HOST:PORT, exec:COMMAND, replay:FILE or sim", name)
	}
}

// Serial says whether the port of that name has a serial mode.
func Serial(name string) bool {
	return strings.HasPrefix(name, usbScheme) || strings.HasPrefix(name, "/")
}

// Shared says whether several devices may have the port of that name, each for itself.
func Shared(name string) bool {
	return name == Sim || strings.HasPrefix(name, execScheme) || strings.HasPrefix(name, replayScheme)
}
