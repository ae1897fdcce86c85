// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// watchLinks calls changed whenever a link, an address or a route of this machine changes, until ctx ends. The messages
// themselves are not read: that there was one is enough to look whether the link still lives.
func watchLinks(ctx context.Context, changed func()) (err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	const groups = unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE | unix.RTMGRP_IPV6_IFADDR | unix.RTMGRP_IPV6_ROUTE
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		return errors.Join(fmt.Errorf("listen for changes of links: %w", err), unix.Close(fd))
	}
	f := os.NewFile(uintptr(fd), "netlink")
	closing := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closing <- f.Close() })
	defer func() {
		if stop() {
			closing <- f.Close()
		}
		err = errors.Join(err, <-closing)
	}()
	buf := make([]byte, 8<<10)
	for {
		if _, err := f.Read(buf); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if !errors.Is(err, unix.ENOBUFS) { // there were more than the kernel keeps for us
				return fmt.Errorf("read changes of links: %w", err)
			}
		}
		changed()
	}
}
