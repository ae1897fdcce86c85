// SPDX-License-Identifier: Apache-2.0

package port

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Changed returns a channel that is closed when a port may have come or gone, as far as the kernel tells. Who waits
// for a port looks at least each second as well: a pseudo terminal or a symbolic link comes without an event, and so
// does every port where events may not be heard.
func (s *System) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *System) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// Watch listens to the kernel's device events until ctx ends. Where that is not permitted it says so in the log and
// waits.
func (s *System) Watch(ctx context.Context) error {
	f, err := uevents()
	if err != nil {
		s.log.Info("device events are not heard here, ports are looked for each second", "err", err)
		<-ctx.Done()
		return nil
	}
	stop := context.AfterFunc(ctx, func() {
		if err := f.Close(); err != nil {
			s.log.Debug("closing the socket of device events", "err", err)
		}
	})
	defer stop()
	buf := make([]byte, 16<<10)
	for {
		n, err := f.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS): // events were missed
			s.wake()
		case err != nil:
			return errors.Join(fmt.Errorf("read device events: %w", err), f.Close())
		case aboutPorts(buf[:n]):
			s.wake()
		}
	}
}

// uevents opens a socket that hears the kernel (group 1) and udev (group 2), which makes the links in /dev/serial.
func uevents() (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_KOBJECT_UEVENT)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 | 2}); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "uevents"), nil
}

// aboutPorts says whether an event tells of a tty: "add@/devices/…\0ACTION=add\0SUBSYSTEM=tty\0…", from udev with a
// header before.
func aboutPorts(event []byte) bool {
	for word := range bytes.SplitSeq(event, []byte{0}) {
		if bytes.Equal(word, []byte("SUBSYSTEM=tty")) {
			return true
		}
	}
	return false
}
