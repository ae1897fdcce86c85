// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// tcpPair returns a connection that was accepted, which the caller closes, and its peer.
func tcpPair(t *testing.T) (*net.TCPConn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn), peer
}

// rawPair returns a socket that is read and written without telling the runtime, and its peer.
func rawPair(t *testing.T) (*rawSocket, *net.TCPConn, net.Conn) {
	t.Helper()
	nc, peer := tcpPair(t)
	t.Cleanup(func() { nc.Close() })
	raw, err := nc.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return newRawSocket(raw), nc, peer
}

func TestRawSocketReadsAllThatComesAndThenTheEnd(t *testing.T) {
	s, _, peer := rawPair(t)
	want := bytes.Repeat([]byte("0123456789"), 100000)
	go func() {
		peer.Write(want) //nolint:errcheck // the reader misses it
		peer.Close()     //nolint:errcheck // likewise
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("read %d bytes, %v; want %d bytes and the end", len(got), err, len(want))
	}
}

func TestRawSocketReadEndsAtItsDeadlineAndWithItsSocket(t *testing.T) {
	s, nc, _ := rawPair(t)
	if err := nc.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d, %v; want 0 and the deadline", n, err)
	}
	if err := nc.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(20*time.Millisecond, func() { nc.Close() })
	if n, err := s.Read(make([]byte, 8)); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("read %d, %v; want 0 and that it is closed", n, err)
	}
	if n := s.TryWrite([]byte("x")); n != 0 {
		t.Errorf("wrote %d bytes to a closed socket", n)
	}
}

func TestRawSocketWritesWhatThePeerTakesAndDoesNotWait(t *testing.T) {
	s, _, peer := rawPair(t)
	part := make([]byte, 1<<20)
	sent := 0
	for i := 0; ; i++ {
		n := s.TryWrite(part)
		if sent += n; n < len(part) {
			break
		}
		if i > 1000 {
			t.Fatal("a peer that does not read took 1 GiB")
		}
	}
	got, err := io.CopyN(io.Discard, peer, int64(sent))
	if err != nil || got != int64(sent) {
		t.Fatalf("the peer got %d of %d bytes, %v", got, sent, err)
	}
}
