// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"io"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A call of the system that may block tells the runtime so, and while the program is mostly asleep that wakes the runtime's
// watching thread (entersyscall, sysmon), which then looks around for a while: at some hundred messages a second this took
// a third of the broker's processor time. Reading and writing a socket never blocks, so it need not be told.

// rawSocket reads and writes a socket that the runtime's poller waits for.
type rawSocket struct {
	raw     syscall.RawConn
	in, out transfer
	wait    bool // Read waits
}

// transfer is one call of the system under way. There is one at a time in each direction.
type transfer struct {
	p    []byte
	n    int
	err  syscall.Errno
	call func(fd uintptr) (done bool)
}

func newRawSocket(raw syscall.RawConn) *rawSocket {
	s := &rawSocket{raw: raw}
	s.in.call = func(fd uintptr) bool {
		s.in.do(syscall.SYS_READ, fd)
		return s.in.err != syscall.EAGAIN || !s.wait
	}
	s.out.call = func(fd uintptr) bool {
		s.out.do(syscall.SYS_WRITE, fd)
		return true
	}
	return s
}

// do reads or writes p, which is not empty.
func (t *transfer) do(call, fd uintptr) {
	for {
		n, _, err := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(t.p))), uintptr(len(t.p)))
		if t.err = err; err == 0 {
			t.n = int(n)
			return
		}
		if err != syscall.EINTR {
			return
		}
	}
}

// ReadNow reads what is there, without waiting: the error is [syscall.EAGAIN] when nothing is.
func (s *rawSocket) ReadNow(p []byte) (int, error) {
	s.wait = false
	return s.read(p)
}

// Read waits until something can be read, as [net.Conn] does.
func (s *rawSocket) Read(p []byte) (int, error) {
	s.wait = true
	return s.read(p)
}

func (s *rawSocket) read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	t := &s.in
	t.p, t.n, t.err = p, 0, 0
	err := s.raw.Read(t.call)
	t.p = nil
	switch {
	case err != nil:
		return 0, err
	case t.err != 0:
		return 0, t.err
	case t.n == 0:
		return 0, io.EOF
	}
	return t.n, nil
}

// TryWrite writes what the peer takes at once. What is wrong with the socket is learnt by whoever writes the rest.
func (s *rawSocket) TryWrite(p []byte) int {
	if len(p) == 0 {
		return 0
	}
	t := &s.out
	t.p, t.n = p, 0
	if err := s.raw.Write(t.call); err != nil {
		t.n = 0
	}
	t.p = nil
	return t.n
}

// epollNow tells what of an epoll instance is ready, without waiting.
func epollNow(epoll uintptr, events []unix.EpollEvent) int {
	n, _, err := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, epoll, uintptr(unsafe.Pointer(unsafe.SliceData(events))),
		uintptr(len(events)), 0, 0, 0)
	if err != 0 {
		return 0
	}
	return int(n)
}

// HungUp tells whether the peer has closed its end, although what it said before may not be read yet.
func (s *rawSocket) HungUp() bool {
	gone := false
	err := s.raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		n, err := unix.Poll(p, 0)
		gone = err == nil && n > 0 && p[0].Revents&(unix.POLLRDHUP|unix.POLLHUP|unix.POLLERR) != 0
	})
	return gone || err != nil
}
