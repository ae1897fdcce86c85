// SPDX-License-Identifier: Apache-2.0

package journal

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// clock is a timer of the kernel for the writer's short waits. While the program is mostly asleep, each of the runtime's
// timers wakes a second thread when it is set and when it fires; a descriptor that the runtime's poller watches does not.
type clock struct {
	fd   int // a timerfd
	file *os.File
	raw  syscall.RawConn // nil: there is none, and the runtime's timers serve
}

func newClock() *clock {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return &clock{}
	}
	c := &clock{fd: fd, file: os.NewFile(uintptr(fd), "timerfd")}
	c.raw, _ = c.file.SyscallConn() // it has one: it is open
	return c
}

// sleep waits.
func (c *clock) sleep(d time.Duration) {
	t := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(d), 1))}
	if c.raw != nil {
		if _, _, failed := syscall.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(c.fd), 0, uintptr(unsafe.Pointer(&t)), 0, 0, 0); failed == 0 {
			if awaitCount(c.raw) == nil {
				return
			}
		}
	}
	time.Sleep(d)
}

// awaitCount waits until an eventfd or a timerfd counts something, and resets it.
func awaitCount(raw syscall.RawConn) error {
	var count [8]byte
	return raw.Read(func(fd uintptr) bool {
		_, _, failed := syscall.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
}

func (c *clock) Close() error {
	if c.file == nil {
		return nil
	}
	return c.file.Close()
}
