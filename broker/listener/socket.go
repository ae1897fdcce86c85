// SPDX-License-Identifier: Apache-2.0

package listener

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// carrier is what WebSockets are carried by.
type carrier interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
}

// socket is a TCP connection below TLS or WebSockets, which have last words when they are closed: these must not wait for
// a peer that does not read, nor for a writer that does.
type socket struct {
	*net.TCPConn
	mu     sync.Mutex // guards ending, also while the deadline is set
	ending bool       // what is written is what the kernel takes at once
}

// end makes whoever writes give up, and all further writing immediate.
func (s *socket) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ending = true
	s.TCPConn.SetWriteDeadline(time.Unix(1, 0)) //nolint:errcheck // it is closed: nobody writes
}

func (s *socket) isEnding() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ending
}

// Write is [net.Conn].
func (s *socket) Write(p []byte) (n int, err error) {
	if !s.isEnding() {
		return s.TCPConn.Write(p)
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = os.ErrDeadlineExceeded
	if cerr := raw.Control(func(fd uintptr) { n, err = syscall.Write(int(fd), p) }); cerr != nil {
		return 0, cerr
	}
	return max(n, 0), err
}

// SetWriteDeadline is [net.Conn].
func (s *socket) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ending {
		return nil
	}
	return s.TCPConn.SetWriteDeadline(t)
}

// SetDeadline is [net.Conn].
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}
