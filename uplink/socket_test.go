// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSocket(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialTCP(t.Context(), netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	p := pipeOf(c)
	before, known := p.Taken()
	if !known {
		t.Fatal("the kernel does not tell how much the peer has taken")
	}
	if _, err := c.Write(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := before; n != before+1000; n, _ = p.Taken() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("the peer took nothing")
		}
	}
	for _, want := range []time.Duration{minPatience, 20 * time.Second} {
		if err := p.Patience(want); err != nil {
			t.Fatal(err)
		}
		if got := timeoutOf(t, c); got != want {
			t.Errorf("TCP_USER_TIMEOUT is %v, want %v", got, want)
		}
	}
}

func TestDialSetsTheKernelsPatience(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := dialTCP(t.Context(), netip.MustParseAddrPort(l.Addr().String()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := timeoutOf(t, c); got != minPatience {
		t.Errorf("TCP_USER_TIMEOUT is %v, want %v", got, minPatience)
	}
}

func timeoutOf(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	ms := 0
	if err := onSocket(raw, func(fd int) (err error) {
		ms, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ms) * time.Millisecond
}

func TestWatchLinksEnds(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- watchLinks(ctx, func() {}) }()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("watchLinks: %v", err)
	}
}
