// SPDX-License-Identifier: Apache-2.0

package path

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// host is a network namespace. It has no name: when this process and those that it started in there are gone, however they
// went, the kernel takes it away with all that is in it.
type host struct{ ns *os.File }

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{}
	var err error
	elsewhere(func() error {
		if err = unix.Unshare(unix.CLONE_NEWNET); err == nil {
			h.ns, err = os.Open("/proc/thread-self/ns/net")
		}
		return nil
	})
	if err != nil {
		t.Fatalf("make a network namespace: %v (this needs root)", err)
	}
	t.Cleanup(func() { closed(t, h.ns.Close()) })
	h.run(t, "ip", "link", "set", "lo", "up")
	return h
}

// elsewhere calls f on a thread that afterwards is in the network namespace it was in before, whatever f did.
func elsewhere(f func() error) error {
	runtime.LockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		panic(fmt.Sprintf("open the own network namespace: %v", err))
	}
	defer func() {
		if err := errors.Join(unix.Setns(int(home.Fd()), unix.CLONE_NEWNET), home.Close()); err != nil {
			panic(fmt.Sprintf("go back to the own network namespace: %v", err)) // the thread would be used for anything
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// inside calls f in the namespace: sockets that it opens and processes that it starts are there for good.
func (h *host) inside(f func() error) error {
	return elsewhere(func() error {
		if err := unix.Setns(int(h.ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter a network namespace: %w", err)
		}
		return f()
	})
}

// dial connects to an address, which must be one of numbers: a resolver works on threads that are not in the namespace.
func (h *host) dial(address string) (c net.Conn, err error) {
	err = h.inside(func() (err error) {
		c, err = net.Dial("tcp", address)
		return err
	})
	return c, err
}

func (h *host) listen(t *testing.T, address string) net.Listener {
	t.Helper()
	var l net.Listener
	err := h.inside(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, l.Close()) })
	return l
}

// run runs a command to its end.
func (h *host) run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := h.try(name, args...); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

func (h *host) try(name string, args ...string) (out []byte, err error) {
	err = h.inside(func() (err error) {
		out, err = exec.Command(name, args...).CombinedOutput()
		return err
	})
	return out, err
}

// set writes a sysctl of the namespace.
func (h *host) set(t *testing.T, name, value string) {
	t.Helper()
	err := h.inside(func() error {
		return os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// name is what ip(8) takes for the namespace.
func (h *host) name() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), h.ns.Fd()) }
