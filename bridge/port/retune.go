// SPDX-License-Identifier: Apache-2.0

package port

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Tunable is a port whose mode can be changed while it is open, without a change of its modem lines. Every UART is one.
type Tunable interface {
	Port
	// SetMode has the port speak in another mode; what came before is dropped.
	SetMode(m Mode) error
}

// SetMode changes how an open UART speaks.
func (u *uart) SetMode(m Mode) error {
	mode, err := m.library()
	if err != nil {
		return err
	}
	if err := u.control.SetMode(mode); err != nil {
		return fmt.Errorf("set %s to %v: %w", u.Name(), m, err)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return err
	}
	var flushed error
	if err := raw.Control(func(fd uintptr) { flushed = unix.IoctlSetInt(int(fd), unix.TCFLSH, unix.TCIFLUSH) }); err != nil {
		return err
	}
	return flushed
}
