// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"net"
	"testing"
)

// from is a connection from an address.
type from struct {
	net.Conn
	ip string
}

func (f from) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(f.ip), Port: 1} }

// One address gets so many connections that have not said CONNECT, others theirs, and this machine any number.
func TestPreauthPerAddress(t *testing.T) {
	t.Parallel()
	cfg := Defaults()
	cfg.Limits.PreauthPerAddress = 2
	b, err := Open(cfg, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for i, x := range []struct {
		ip   string
		want bool
	}{
		{"192.0.2.1", true},
		{"192.0.2.1", true},
		{"192.0.2.1", false},
		{"192.0.2.2", true},
		{"192.0.2.1", false},
		{"127.0.0.1", true},
		{"127.0.0.1", true},
		{"127.0.0.1", true},
		{"::1", true},
		{"::1", true},
		{"::1", true},
	} {
		if got := b.enter(newConn(b, from{ip: x.ip}, nil, nil)); got != x.want {
			t.Errorf("connection %d, from %s: let in %v, want %v", i, x.ip, got, x.want)
		}
	}
	if n := b.Status().Limits["preauth_per_address"]; n != 2 {
		t.Errorf("%d were counted", n)
	}
}
