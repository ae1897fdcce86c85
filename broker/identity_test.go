// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"crypto/tls"
	"net"
	"os"
	"os/exec"
	accounts "os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"edged/broker"
	"edged/broker/listener/listenertest"
	"edged/mqtt/wire"
)

// A certificate is its user without a password, over a real handshake; another's user name does not help.
func TestCertificateIsAUser(t *testing.T) {
	t.Parallel()
	ca, dir := listenertest.NewAuthority(t), t.TempDir()
	cert, key := ca.Issue("localhost")
	clients := listenertest.NewAuthority(t)
	s := newSite(t, func(s *site) {
		team(s)
		s.cfg.Listen = []string{"tls://127.0.0.1:0"}
		s.cfg.TLS = broker.TLS{
			Cert: listenertest.Write(t, dir, "cert", cert), Key: listenertest.Write(t, dir, "key", key),
			ClientCA: listenertest.Write(t, dir, "clients", clients.PEM),
		}
		s.cfg.Users["plc"] = broker.User{Cert: "CN=plc-7", Publish: []string{"plc/#"}}
	})
	dial := func(show ...tls.Certificate) *peer {
		t.Helper()
		nc, err := tls.Dial("tcp", s.addr, ca.Client(show...))
		if err != nil {
			t.Fatal(err)
		}
		return newPeer(t, nc)
	}
	plc, other, forged := clients.Pair(clients.Issue("plc-7")), clients.Pair(clients.Issue("plc-8")), ca.Pair(ca.Issue("plc-7"))
	bare := wire.ConnectPacket{Level: 5, Clean: true, ClientID: "plc"}
	claims := bare
	claims.HasUser, claims.User = true, "alice"
	same := bare
	same.HasUser, same.User = true, "plc"
	for _, x := range []struct {
		what string
		show []tls.Certificate
		p    wire.ConnectPacket
		want byte
	}{
		{"its certificate", []tls.Certificate{plc}, bare, 0},
		{"its certificate and name", []tls.Certificate{plc}, same, 0},
		{"its certificate and another's name", []tls.Certificate{plc}, claims, wire.BadCredentials},
		{"its certificate and another's password", []tls.Certificate{plc}, as("alice", "alice", 5), 0},
		{"another's certificate", []tls.Certificate{other}, bare, wire.NotAuthorized},
		{"another's certificate and its name", []tls.Certificate{other}, same, wire.BadCredentials},
		{"no certificate", nil, bare, wire.NotAuthorized},
		{"no certificate but its name", nil, same, wire.BadCredentials},
	} {
		if ack := dial(x.show...).connect(x.p); ack.Code != x.want {
			t.Errorf("%s: CONNACK 0x%02x, want 0x%02x", x.what, ack.Code, x.want)
		}
	}
	nc, err := tls.Dial("tcp", s.addr, ca.Client(forged))
	if err == nil { // TLS 1.3: the client learns it with its first read
		c := newPeer(t, nc)
		if _, err = nc.Write(wire.AppendConnect(nil, &bare)); err == nil {
			_, _, err = c.packet(patience)
		}
	}
	if err == nil {
		t.Error("a certificate of another authority is taken")
	}
	c := dial(plc)
	c.connect(bare)
	s.reload(func(users map[string]broker.User) {
		users["plc"] = broker.User{Cert: "CN=plc-8", Publish: []string{"plc/#"}}
	})
	if reason := c.wantEnd(); reason != wire.NotAuthorized {
		t.Errorf("the certificate is no longer the user's: DISCONNECT 0x%02x", reason)
	}
}

// A process on a Unix socket is who it runs as: root the operator, an account with a user's name that user.
func TestAccountOverUnixSocket(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Fatal("run this as root: only root can run mosquitto_pub under other accounts")
	}
	dir, err := os.MkdirTemp("", "edged-unix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	socket := filepath.Join(dir, "s")
	newSite(t, func(s *site) {
		team(s)
		s.cfg.Listen = append(s.cfg.Listen, "unix://"+socket)
		s.cfg.Users["daemon"] = user("daemon", []string{"a/daemon"}, nil)
	})
	for path, mode := range map[string]os.FileMode{dir: 0o755, socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	root := newPeer(t, nc)
	if ack := root.connect(wire.ConnectPacket{Level: 5, Clean: true, ClientID: "root"}); ack.Code != 0 {
		t.Fatalf("root: CONNACK 0x%02x", ack.Code)
	}
	root.subscribe(1, 0, "#")
	run := func(account string, args ...string) error {
		u, err := runAs(account)
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(t.Context(), "mosquitto_pub", append([]string{"--unix", socket, "-V", "5", "-t", "a/daemon", "-m", account}, args...)...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: u}
		_, err = cmd.CombinedOutput()
		return err
	}
	if err := run("daemon", "-i", "daemon-1"); err != nil {
		t.Errorf("daemon is not let in: %v", err)
	}
	root.wantPayload("daemon")
	for _, x := range [][]string{{"daemon", "-i", "other"}, {"daemon", "-i", "alice", "-u", "alice", "-P", "x"}, {"nobody", "-i", "daemon-1"}} {
		if run(x[0], x[1:]...) == nil {
			t.Errorf("%q is let in", x)
		}
	}
	if err := run("nobody", "-i", "alice", "-u", "alice", "-P", "pw-alice"); err != nil {
		t.Errorf("nobody, with alice's password: %v", err)
	}
	root.wantPayload("nobody")
	root.quiet()
}

// runAs is what a process of an account runs as.
func runAs(account string) (*syscall.Credential, error) {
	u, err := accounts.Lookup(account)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, err
}
