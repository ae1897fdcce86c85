// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"edged/internal/built"
)

// dust is a frame of a PMS5003 (vector of its data manual).
const dust = "424d001c0005000d00160005000d001602fd00fc001d000f00060006970003c5"

// speak sends the same again and again until the test ends.
func (y *tty) speak(t *testing.T, p []byte, every time.Duration) {
	t.Helper()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				if _, err := y.wire.Write(p); err != nil {
					return
				}
			}
		}
	}()
	t.Cleanup(func() { close(stop); <-stopped })
}

// program runs edged without a gateway.
func program(t *testing.T, args ...string) (stdout, talk string, exit int) {
	t.Helper()
	e := &edged{dir: t.TempDir(), bin: built.Path("edged")}
	e.config = e.dir + "/edged.toml"
	if err := os.WriteFile(e.config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return e.command(t, "", args...)
}

func TestScanFindsWhatSpeaks(t *testing.T) {
	frame, err := hex.DecodeString(dust)
	if err != nil {
		t.Fatal(err)
	}
	y := newTTY(t)
	command(t, "stty", "-F", y.name, "raw", "-echo") // else the terminal itself brings back what comes before it is opened
	heard := y.listen(t)
	y.speak(t, frame, 200*time.Millisecond)
	out, talk, code := program(t, "scan", y.name, "--json")
	var s struct {
		Ports []struct {
			Port, State string
			Match       *struct {
				Driver   string
				Also     []string
				Proven   bool
				Config   string
				Readings struct{ Pm25 float64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &s); err != nil || code != 0 || len(s.Ports) != 1 {
		t.Fatalf("exit %d, %v: %q %q", code, err, out, talk)
	}
	m := s.Ports[0].Match
	if m == nil || m.Driver != "pms5003" || !m.Proven || m.Readings.Pm25 != 13 || s.Ports[0].State != "free, data arriving" {
		t.Fatalf("found %s", out)
	}
	if want := "[device.pms5003]\ndriver = \"pms5003\"\nport = \"" + y.name + "\"\n"; m.Config != want {
		t.Errorf("the block is %q, want %q", m.Config, want)
	}
	out, _, code = program(t, "scan", y.name)
	if code != 0 || !strings.Contains(out, "Speaks pms5003: ") || !strings.Contains(out, "edged device add "+y.name+" --name NAME") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	if len(heard.b) > 0 {
		t.Errorf("it wrote % x", heard.b)
	}
}

func TestScanFindsLinesAndLeavesPortsAlone(t *testing.T) {
	y := newTTY(t)
	y.speak(t, []byte("T=21.4,H=48\r\n"), 100*time.Millisecond)
	out, _, code := program(t, "scan", y.name, "--for", "2s")
	if code != 0 || !strings.Contains(out, `driver = "line"`) || !strings.Contains(out, `format = "kv"`) || !strings.Contains(out, `{"t":21.4,"h":48}`) {
		t.Errorf("exit %d:\n%s", code, out)
	}
	held := newTTY(t)
	holder := exec.Command("sleep", "1000")
	f, err := os.OpenFile(held.name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	holder.Stdin = f
	start(t, holder)
	closed(t, f.Close())
	out, _, code = program(t, "scan", held.name, "--for", "1s")
	if code != 69 || !strings.Contains(out, "in use by sleep (pid ") {
		t.Errorf("a port that is held: exit %d:\n%s", code, out)
	}
	quiet := newTTY(t)
	out, _, code = program(t, "scan", quiet.name, "--for", "500ms")
	if code != 0 || !strings.Contains(out, "free, silent") {
		t.Errorf("a silent port: exit %d:\n%s", code, out)
	}
	for _, wrong := range [][]string{{"scan", "tcp://a:1"}, {"scan", "--modbus", "/dev/null", "--addresses", "0-9"}, {"scan", "--serial", "fast", y.name}} {
		if _, _, code := program(t, wrong...); code != 64 {
			t.Errorf("edged %s: exit %d, want 64", strings.Join(wrong, " "), code)
		}
	}
}
