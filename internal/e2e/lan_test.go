// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/broker/listener/listenertest"
	"edged/internal/built"
)

// A broker that is open to the network, by a password and by a certificate; and another certificate of its own, without
// parting anybody.
func TestOpenToTheNetwork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	old, fresh := listenertest.NewAuthority(t), listenertest.NewAuthority(t)
	install := func(a *listenertest.Authority) {
		cert, key := a.Issue("127.0.0.1")
		listenertest.Write(t, dir, "cert.pem", cert)
		listenertest.Write(t, dir, "key.pem", key)
	}
	install(old)
	listenertest.Write(t, dir, "old.pem", old.PEM)
	listenertest.Write(t, dir, "fresh.pem", fresh.PEM)
	cert, key := old.Issue("plc-7")
	listenertest.Write(t, dir, "plc.pem", cert)
	listenertest.Write(t, dir, "plc.key", key)

	e := &edged{dir: dir, bin: built.Path("edged"), config: path("edged.toml"), port: freePort(t)}
	text := fmt.Sprintf("[console]\nlisten = \"\"\n[broker]\nlisten = [\"tls://0.0.0.0:%d\"]\n[broker.tls]\ncert = %q\nkey = %q\nclient_ca = %q\n", e.port, path("cert.pem"), path("key.pem"), path("old.pem"))
	if err := os.WriteFile(e.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"add", "panel", "--subscribe", "plc/#", "--publish", "t"},
		{"add", "plc", "--cert", "CN=plc-7", "--publish", "plc/{client_id}/#"},
	} {
		if _, talk, exit := e.user(t, "p\n", args...); exit != 0 {
			t.Fatalf("user %v: exit %d, %s", args, exit, talk)
		}
	}
	e.exec(t)
	e.ready(t)
	publish := func(ca string, more ...string) (exit int) {
		args := append([]string{"--cafile", path(ca), "--insecure"}, more...)
		return login(e.port, args...)
	}
	plc := []string{"--cert", path("plc.pem"), "--key", path("plc.key"), "-i", "plc-1", "-t", "plc/plc-1/x"}
	panel := []string{"-u", "panel", "-P", "p", "-i", "panel"}
	live := start(t, exec.Command("mosquitto_sub", "-h", "127.0.0.1", "-p", fmt.Sprint(e.port), "--cafile", path("old.pem"), "--insecure",
		"-u", "panel", "-P", "p", "-i", "panel-live", "-t", "plc/#", "-F", "%t %p"))
	eventually(t, 15*time.Second, "the panel reads what the PLC publishes", func() bool {
		return publish("old.pem", plc...) == 0 && strings.Contains(live.out.String(), "plc/plc-1/x x")
	})
	for name, args := range map[string][]string{
		"nobody": {"-i", "x"}, "without TLS": nil, "a wrong password": {"-u", "panel", "-P", "q", "-i", "panel"},
	} {
		exit := 0
		if args == nil {
			exit = login(e.port, panel...)
		} else {
			exit = publish("old.pem", args...)
		}
		if exit == 0 {
			t.Errorf("%s is let in", name)
		}
	}

	install(fresh)
	e.signal(syscall.SIGHUP)
	e.ready(t)
	if exit := publish("fresh.pem", panel...); exit != 0 {
		t.Errorf("with the new certificate: exit %d", exit)
	}
	if exit := publish("old.pem", panel...); exit == 0 {
		t.Error("the old certificate is still shown")
	}
	before := strings.Count(live.out.String(), "\n")
	if exit := publish("fresh.pem", plc...); exit != 0 {
		t.Errorf("the PLC after the reload: exit %d", exit)
	}
	eventually(t, 5*time.Second, "who was connected goes on", func() bool { return strings.Count(live.out.String(), "\n") > before })
}
