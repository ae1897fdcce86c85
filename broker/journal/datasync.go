// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// syncer makes files durable without a thread of ours that blocks: Linux's asynchronous I/O takes the fdatasync, and a
// descriptor that the runtime's poller watches tells when it is done. A thread in a blocking call costs more than the
// call, for the runtime's watching thread looks at it all the while, and its work is handed to another. Each call here
// returns at once, so the runtime need not be told of it.
type syncer struct {
	mu    sync.Mutex // held during a Datasync
	ctx   uintptr    // of the kernel; 0: there is none, and who calls blocks
	fd    int        // an eventfd
	event *os.File   // the same
	raw   syscall.RawConn
}

// iocb is struct iocb of linux/aio_abi.h as it is on little-endian machines.
type iocb struct {
	_       uint64 // a name for it
	_       uint64
	opcode  uint16
	_       int16 // priority
	fd      uint32
	_       [4]uint64 // buffer, length, offset
	flags   uint32
	eventFD uint32
}

// ioEvent is struct io_event.
type ioEvent struct {
	_   [2]uint64
	res int64
	_   int64
}

const (
	cmdDatasync = 3 // IOCB_CMD_FDSYNC
	flagEventFD = 1 // IOCB_FLAG_RESFD
)

// newSyncer returns a syncer, which blocks where the kernel has nothing better.
func newSyncer() *syncer {
	s := &syncer{}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return s
	}
	s.fd, s.event = fd, os.NewFile(uintptr(fd), "eventfd")
	if s.raw, err = s.event.SyscallConn(); err != nil {
		return s
	}
	if _, _, failed := syscall.RawSyscall(unix.SYS_IO_SETUP, 1, uintptr(unsafe.Pointer(&s.ctx)), 0); failed != 0 {
		s.ctx = 0
	}
	return s
}

// Datasync is fdatasync(2).
func (s *syncer) Datasync(f *os.File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	fd := int(f.Fd())
	defer runtime.KeepAlive(f)
	if s.ctx != 0 && s.begin(fd) {
		return s.end()
	}
	for {
		if err := unix.Fdatasync(fd); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// begin lets the kernel begin; it is false where the kernel or the file system does not do this.
func (s *syncer) begin(fd int) bool {
	list := [1]*iocb{{opcode: cmdDatasync, fd: uint32(fd), flags: flagEventFD, eventFD: uint32(s.fd)}}
	n, _, failed := syscall.RawSyscall(unix.SYS_IO_SUBMIT, s.ctx, 1, uintptr(unsafe.Pointer(&list)))
	runtime.KeepAlive(list[0])
	return failed == 0 && n == 1
}

// end waits until it is done.
func (s *syncer) end() error {
	if err := awaitCount(s.raw); err != nil {
		return fmt.Errorf("wait for fdatasync: %w", err)
	}
	var e ioEvent // it is there
	if _, _, failed := syscall.RawSyscall6(unix.SYS_IO_GETEVENTS, s.ctx, 1, 1, uintptr(unsafe.Pointer(&e)), 0, 0); failed != 0 {
		return fmt.Errorf("ask how fdatasync ended: %w", failed)
	}
	if e.res < 0 {
		return syscall.Errno(-e.res)
	}
	return nil
}

// Close may only be called when nothing is under way.
func (s *syncer) Close() error {
	if s.ctx != 0 {
		syscall.RawSyscall(unix.SYS_IO_DESTROY, s.ctx, 0, 0) //nolint:errcheck // it goes with the process otherwise
		s.ctx = 0
	}
	if s.event == nil {
		return nil
	}
	return s.event.Close()
}
