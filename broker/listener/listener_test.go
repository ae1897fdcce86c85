// SPDX-License-Identifier: Apache-2.0

package listener_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"edged/broker/listener"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string // want "": an error
		local    bool
		part     string // of the error
	}{
		{in: "127.0.0.1:1883", want: "127.0.0.1:1883", local: true},
		{in: "tcp://127.0.0.1:1883", part: `"tcp" is not known`},
		{in: ":1883", want: ":1883"},
		{in: "[::1]:0", want: "[::1]:0", local: true},
		{in: "tls://gateway.lan:8883", want: "tls://gateway.lan:8883"},
		{in: "ws://localhost:9001", want: "ws://localhost:9001/mqtt", local: true},
		{in: "wss://0.0.0.0:9001/", want: "wss://0.0.0.0:9001/"},
		{in: "ws://127.0.0.1:9001/a/b", want: "ws://127.0.0.1:9001/a/b", local: true},
		{in: "ws://127.0.0.1:9001/a?b", part: "a character that a path has not"},
		{in: "unix:///run/x.sock", want: "unix:///run/x.sock", local: true},
		{in: "unix://x.sock", part: "names no file"},
		{in: "unix:///run/", part: "names no file"},
		{in: "unix:///" + strings.Repeat("x", 107), part: "use a shorter one"},
		{in: "127.0.0.1", part: "HOST:PORT"},
		{in: "tls://127.0.0.1:1/x", part: "no port"},
		{in: "user@h:1", part: "HOST:PORT"},
		{in: "127.0.0.1:70000", part: "0 to 65535"},
		{in: "", part: "HOST:PORT"},
	} {
		a, err := listener.Parse(c.in)
		switch {
		case c.part != "":
			if err == nil || !strings.Contains(err.Error(), c.part) {
				t.Errorf("%q: error %v, want %q in it", c.in, err, c.part)
			}
		case err != nil || a.String() != c.want || a.Local() != c.local:
			t.Errorf("%q: %q, local %v, %v; want %q, local %v", c.in, a, a.Local(), err, c.want, c.local)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"127.0.0.1:1", "ws://[::1]:1/x", "unix:///x", "tls://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := listener.Parse(s)
		if err != nil {
			return
		}
		if again, err := listener.Parse(a.String()); err != nil || again != a {
			t.Errorf("%q is %q, which is %q, %v", s, a, again, err)
		}
	})
}

func TestAddressInUse(t *testing.T) {
	t.Parallel()
	first := newEcho(t, "127.0.0.1:0")
	_, err := listener.Open(t.Context(), first.String(), listener.Options{})
	if !errors.Is(err, listener.ErrInUse) || !strings.Contains(err.Error(), first.String()) || !strings.Contains(err.Error(), "(E401)") {
		t.Errorf("got %v", err)
	}
}

func TestNoSuchAddress(t *testing.T) {
	t.Parallel()
	_, err := listener.Open(t.Context(), "192.0.2.1:1883", listener.Options{})
	if !errors.Is(err, syscall.EADDRNOTAVAIL) || !strings.Contains(err.Error(), "no such address") || !strings.Contains(err.Error(), "(E412)") {
		t.Errorf("got %v", err)
	}
}

func TestUnixSocketTellsItsPeer(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	e := newEcho(t, "unix://"+path)
	c := e.dial(t)
	wantEcho(t, c, "hello")
	got := <-e.ready
	uid, ok := got.(interface{ PeerUID() (int, bool) }).PeerUID()
	if !ok || uid != os.Getuid() || !strings.Contains(got.RemoteAddr().String(), "uid=") {
		t.Errorf("uid %d, %v, %q; want %d", uid, ok, got.RemoteAddr(), os.Getuid())
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if e.String() != "unix://"+path {
		t.Errorf("it is called %q", e.String())
	}
}

func TestUnixSocketFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "mqtt.sock")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := listener.Open(t.Context(), "unix://"+path, listener.Options{})
	if err != nil {
		t.Fatalf("over what a dead process has left: %v", err)
	}
	if _, err := listener.Open(t.Context(), "unix://"+path, listener.Options{}); !errors.Is(err, listener.ErrInUse) {
		t.Errorf("over a living one: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after the stop: %v", err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := listener.Open(t.Context(), "unix://"+path, listener.Options{}); err == nil || !strings.Contains(err.Error(), "is no socket") {
		t.Errorf("over a file: %v", err)
	}
	if kept, err := os.ReadFile(path); err != nil || string(kept) != "precious" {
		t.Errorf("the file is %q, %v", kept, err)
	}
	if _, err := listener.Open(t.Context(), "unix:///no/such/directory/s", listener.Options{}); err == nil || !strings.Contains(err.Error(), "make the directory") {
		t.Errorf("without a directory: %v", err)
	}
}
