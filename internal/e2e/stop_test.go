// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/internal/built"
)

func TestWhatStopsAStart(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, busy.Close()) }()
	notDir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notDir, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, config, state string
		exit                int
		says                []string
	}{
		{
			"unknown key", "[device.office]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\nseriel = \"9600 8N1\"\n", "",
			78,
			[]string{"edged.toml:5:1", "seriel", "E501", `did you mean "serial"`},
		},
		{
			"two faults at once", "[broker]\nlisten = [\"127.0.0.1:0\"]\nanonymus = true\n[device.x]\ndriver = \"pms5oo3\"\nport = \"sim\"\n", "",
			78,
			[]string{"edged.toml:3:1", "edged.toml:5:", "pms5003"},
		},
		{"syntax", "[broker\n", "", 78, []string{"edged.toml:1:"}},
		{"open to the network", "[broker]\nlisten = [\"0.0.0.0:1883\"]\n", "", 78, []string{"E410", "edged user add NAME"}},
		{"everybody on the network", "[broker]\nlisten = [\"0.0.0.0:1883\"]\nanonymous = true\n[broker.user.x]\ncert = \"CN=x\"\n", "", 78, []string{"E410", "anonymous"}},
		{"address in use", fmt.Sprintf("[broker]\nlisten = [%q]\n", busy.Addr()), "", 69, []string{"E401", busy.Addr().String()}},
		{"state is a file", "[broker]\nlisten = [\"127.0.0.1:0\"]\n", notDir, 74, []string{"E604", notDir}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "edged.toml")
			if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			state := c.state
			if state == "" {
				state = filepath.Join(dir, "state")
			}
			p := start(t, exec.Command(built.Path("edged"), "run", "--config", file, "--state", state))
			if exit := p.wait(t, 10*time.Second); exit != c.exit {
				t.Errorf("exit %d, want %d", exit, c.exit)
			}
			for _, s := range c.says {
				if !strings.Contains(p.err.String(), s) {
					t.Errorf("it doesn't say %q:\n%s", s, p.err.String())
				}
			}
		})
	}
}

func TestWhatDoesNotStopAStart(t *testing.T) {
	t.Parallel()
	good, busy := newTTY(t), newTTY(t)
	holder, err := os.OpenFile(busy.name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, holder.Close()) }()
	if err := syscall.Flock(int(holder.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(freePort(t)) + jsonDevice("good", good) + jsonDevice("busy", busy) +
		"[device.missing]\ndriver = \"pms5003\"\nport = \"/dev/ttyNONE7\"\n"}.start(t)
	near := subscribe(t, e.port, "near", "edged/#")
	for dev, code := range map[string]string{"busy": "E103", "missing": "E101"} {
		eventually(t, 5*time.Second, dev+" is offline with "+code, func() bool {
			return near.last("edged/gw/dev/"+dev+"/status") == "offline" &&
				strings.Contains(near.last("edged/gw/dev/"+dev+"/health"), fmt.Sprintf("%q", code))
		})
	}
	good.send(t, []byte("{\"n\":1}\n"))
	eventually(t, 5*time.Second, "the good device is online", func() bool { return near.last("edged/gw/dev/good/status") == "online" })
	if out, exit := e.run(t, "status"); exit != 1 || !strings.Contains(out, "E103") {
		t.Errorf("status: exit %d\n%s", exit, out)
	}
}

func TestOrderlyStop(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "edged/#")
	good, stuck := newTTY(t), newTTY(t)
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port) + jsonDevice("good", good) +
		fmt.Sprintf("[device.stuck]\ndriver = \"sds011\"\nport = %q\n", stuck.name)}.start(t)
	opened(t, e, 2)
	near := subscribe(t, e.port, "near", "edged/#")
	silent, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", e.port))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, silent.Close()) }()
	for n := range 20 {
		good.send(t, fmt.Appendf(nil, "{\"n\":%d}\n", n))
	}
	stuck.send(t, []byte{0xaa, 0xc0, 0x06, 0x00, 0x06, 0x00, 0x58, 0xd9, 0x3d, 0xab})
	eventually(t, 5*time.Second, "both are online", func() bool {
		return near.last("edged/gw/dev/good/status") == "online" && near.last("edged/gw/dev/stuck/status") == "online"
	})
	for range 300 { // the far end of this wire reads nothing: what is written to it stays in the tty's buffer
		publish(t, e.port, "edged/gw/dev/stuck/set", `{"sleep":false}`)
		if near.last("edged/gw/dev/stuck/result") != "" {
			break
		}
	}
	e.signal(syscall.SIGTERM)
	if exit := e.wait(t, 5*time.Second); exit != 0 {
		t.Errorf("exit %d, want 0\n%s", exit, e.err.String())
	}
	for _, topic := range []string{"edged/gw/status", "edged/gw/dev/good/status", "edged/gw/dev/stuck/status"} {
		if got := near.last(topic); got != "offline" {
			t.Errorf("here %s is %q after the stop", topic, got)
		}
		eventually(t, 5*time.Second, topic+" is offline in the cloud", func() bool { return far.last(topic) == "offline" })
	}
	inOrder(t, "in the cloud", far.on("edged/gw/dev/good/data"), 20)
	again := e.again(t, "[gateway]\nid = \"gw\"\n"+uplinkTo(cloud.port)+jsonDevice("good", good))
	opened(t, again, 1)
	good.send(t, []byte("{\"n\":20}\n"))
	eventually(t, 5*time.Second, "the next reading is in the cloud", func() bool { return len(far.on("edged/gw/dev/good/data")) == 21 })
	inOrder(t, "after the restart", far.on("edged/gw/dev/good/data"), 21) // an orderly stop skips no seq
}
