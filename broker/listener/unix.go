// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// socketMode lets the gateway's own user and group in.
const socketMode = 0o660

// listenUnix listens on a socket file. One that a dead process has left is replaced.
func listenUnix(ctx context.Context, path string) (net.Listener, error) {
	if err := clearAway(ctx, path); err != nil {
		return nil, err
	}
	// Linux gives the file the socket's mode, less the umask: nobody else gets in before chmod.
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		cerr := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), socketMode) })
		return errors.Join(err, cerr)
	}}
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// clearAway removes the socket file of a dead process.
func clearAway(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is there, and is no socket: remove it or use another path", path)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return errors.Join(ErrInUse, c.Close())
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	case errors.Is(err, syscall.EAGAIN): // its queue is full
		return ErrInUse
	}
	return err
}

// local is a connection of a process on this machine.
type local struct {
	*net.UnixConn
	peer *syscall.Ucred // nil: the kernel does not say
}

func newLocal(u *net.UnixConn) *local {
	l := &local{UnixConn: u}
	if raw, err := u.SyscallConn(); err == nil {
		err := raw.Control(func(fd uintptr) {
			cred, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
			if err == nil {
				l.peer = cred
			}
		})
		if err != nil {
			l.peer = nil
		}
	}
	return l
}

// PeerUID is the user of the process that has connected, as it was at that moment.
func (l *local) PeerUID() (uid int, ok bool) {
	if l.peer == nil {
		return 0, false
	}
	return int(l.peer.Uid), true
}

// RemoteAddr names the process: its end of the socket has no address.
func (l *local) RemoteAddr() net.Addr { return process{l.peer} }

// process is a [net.Addr].
type process struct{ cred *syscall.Ucred }

func (process) Network() string { return "unix" }

// String names the process by its user and its id.
func (p process) String() string {
	if p.cred == nil {
		return "unix"
	}
	return fmt.Sprintf("unix uid=%d pid=%d", p.cred.Uid, p.cred.Pid)
}
