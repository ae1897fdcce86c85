// SPDX-License-Identifier: Apache-2.0

package path

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	gatewayID = "gw"
	inflight  = 20 // the uplink's window, and so the most that may come twice for one break
)

// gateway is a running edged at the near end of a road.
type gateway struct {
	*process
	at    *host
	dir   string // its configuration, and its state unless that is elsewhere
	state string
	bin   string
	port  int
	env   []string
	alone bool // it sees no /run of this machine, so no time service
}

// plain is the configuration of a gateway whose cloud is at the end of the road, with more keys of [uplink].
func plain(more string) string { return plainAt(1883, more) }

// plainAt is plain, for a cloud at another port.
func plainAt(port int, more string) string {
	return fmt.Sprintf("[gateway]\nid = %q\n[uplink]\nurl = \"mqtt://%s:%d\"\nsend = [\"plant/#\"]\ninflight = %d\n%s", gatewayID, cloudIP, port, inflight, more)
}

func newGateway(t *testing.T, r *road, config string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{at: r.gateway, dir: dir, state: filepath.Join(dir, "state"), bin: program(), port: 1883}
	g.launch(t, config)
	return g
}

// launch writes the configuration and starts the program.
func (g *gateway) launch(t *testing.T, config string) {
	t.Helper()
	text := fmt.Sprintf("[broker]\nlisten = [\"127.0.0.1:%d\"]\n%s", g.port, config)
	if err := os.WriteFile(g.config(), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g.start(t)
}

func (g *gateway) config() string { return filepath.Join(g.dir, "edged.toml") }

// start starts the program, anew too, and waits until it is ready.
func (g *gateway) start(t *testing.T) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		buf := make([]byte, 4096)
		for told := false; ; {
			n, err := notify.Read(buf)
			if err != nil {
				return
			}
			if !told && strings.Contains(string(buf[:n]), "READY=1") {
				told = true
				close(ready)
			}
		}
	}()
	t.Cleanup(func() {
		closed(t, notify.Close())
		<-heard
	})
	args := []string{g.bin, "run", "--config", g.config(), "--state", g.state}
	if g.alone {
		args = append([]string{"unshare", "--mount", "sh", "-c", `mount -t tmpfs none /run && exec "$0" "$@"`}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(append(os.Environ(), "NOTIFY_SOCKET="+socket), g.env...)
	g.process = g.at.start(t, cmd, nil)
	select {
	case <-ready:
	case <-g.done:
		t.Fatalf("edged ended before it was ready:\n%s", g.tail())
	case <-time.After(30 * time.Second):
		t.Fatalf("edged is not ready after 30 s:\n%s", g.tail())
	}
}

// link is what `edged status --json` says of the cloud.
type link struct {
	State, Code, Text string
	SessionPresent    bool `json:"session_present"`
	Reconnects        int
	Dropped           int
	Backlog           struct{ Messages, Bytes int }
}

func (g *gateway) link(t *testing.T) link {
	t.Helper()
	cmd := exec.Command(g.bin, "status", "--json", "--state", g.state)
	cmd.Env = append(os.Environ(), g.env...)
	out, _ := cmd.Output() // exit 1 says only that there is a problem
	var s struct{ Cloud link }
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("edged status --json: %v: %q", err, out)
	}
	return s.Cloud
}

// linked waits until the link to the cloud is up.
func (g *gateway) linked(t *testing.T, d time.Duration) {
	t.Helper()
	eventually(t, d, "the cloud is linked", func() bool { return g.link(t).State == "up" })
}

// named waits until the status tells a state and, in its code or text, why.
func (g *gateway) named(t *testing.T, d time.Duration, state, why string) {
	t.Helper()
	var l link
	defer func() { t.Logf("status: %s %s %q", l.State, l.Code, l.Text) }()
	eventually(t, d, fmt.Sprintf("the status says %q and %q", state, why), func() bool {
		l = g.link(t)
		return l.State == state && strings.Contains(l.Code+" "+l.Text, why)
	})
}

// memory returns a figure of /proc/PID/status in KiB.
func (g *gateway) memory(t *testing.T, name string) (kib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", g.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for l := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(l, name+":"); ok {
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				t.Fatal(err)
			}
		}
	}
	return kib
}
