// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dialTCP connects with TCP as the link wants it: the kernel gives up a connection whose peer has not acknowledged
// anything for the shortest patience, and sends no keep-alive probes, since MQTT does and these cost data.
func dialTCP(ctx context.Context, address netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{KeepAlive: -1, Control: func(_, _ string, c syscall.RawConn) error {
		return onSocket(c, func(fd int) error { return userTimeout(fd, minPatience) })
	}}
	return d.DialContext(ctx, "tcp", address.String())
}

func userTimeout(fd int, d time.Duration) error {
	err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(d.Milliseconds()))
	if err != nil {
		return fmt.Errorf("set TCP_USER_TIMEOUT: %w", err)
	}
	return nil
}

func onSocket(c syscall.RawConn, do func(fd int) error) error {
	var inside error
	if err := c.Control(func(fd uintptr) { inside = do(int(fd)) }); err != nil {
		return err
	}
	return inside
}

// pipe is the kernel's view of a connection.
type pipe interface {
	// Taken is how many bytes the peer's TCP has acknowledged so far; false: not known.
	Taken() (uint64, bool)
	// Waiting is how many bytes the peer's TCP has not acknowledged yet; false: not known.
	Waiting() (uint64, bool)
	// Patience sets how long the kernel waits for the peer's TCP before it gives the connection up.
	Patience(d time.Duration) error
}

// pipeOf finds the kernel's view of c. A connection that is no TCP socket may bring its own.
func pipeOf(c net.Conn) pipe {
	if p, ok := c.(pipe); ok {
		return p
	}
	if s, ok := c.(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			return socket{raw}
		}
	}
	return blind{}
}

type socket struct{ raw syscall.RawConn }

func (s socket) Taken() (n uint64, known bool) {
	err := onSocket(s.raw, func(fd int) error {
		info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			n = info.Bytes_acked
		}
		return err
	})
	return n, err == nil
}

func (s socket) Waiting() (n uint64, known bool) {
	err := onSocket(s.raw, func(fd int) error {
		queued, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		n = uint64(max(queued, 0))
		return err
	})
	return n, err == nil
}

func (s socket) Patience(d time.Duration) error {
	return onSocket(s.raw, func(fd int) error { return userTimeout(fd, d) })
}

// blind knows nothing: only acknowledgements tell that the link lives.
type blind struct{}

func (blind) Taken() (uint64, bool)        { return 0, false }
func (blind) Waiting() (uint64, bool)      { return 0, false }
func (blind) Patience(time.Duration) error { return nil }
