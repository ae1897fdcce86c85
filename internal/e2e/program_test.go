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
)

// TestAProgramIsADevice runs one that goes on and one that ends at once, and ends both with the gateway.
func TestAProgramIsADevice(t *testing.T) {
	dir := t.TempDir()
	pid, runs := filepath.Join(dir, "pid"), filepath.Join(dir, "runs")
	forever := fmt.Sprintf(`sleep 1000 & echo $! > %s; while :; do echo '{"t":21.5}'; sleep 0.2; done`, pid)
	brief := fmt.Sprintf(`date +%%s.%%N >> %s; echo '{"n":1}'; echo out of luck >&2; exit 3`, runs)
	e := gateway{config: fmt.Sprintf(`
[device.radio]
driver = "line"
port   = %q
format = "json"
[device.brief]
driver = "line"
port   = %q
format = "json"
`, "exec:"+forever, "exec:"+brief)}.start(t)
	far := subscribe(t, e.port, "far", "edged/#")
	eventually(t, 20*time.Second, "the reading is there", func() bool {
		return strings.Contains(far.last("edged/"+host(t)+"/dev/radio/data"), `"t":21.5`)
	})
	eventually(t, 20*time.Second, "the end is told, with what the program said last", func() bool {
		health := far.last("edged/" + host(t) + "/dev/brief/health")
		return strings.Contains(health, "E101") && strings.Contains(health, "exit status 3, it said: out of luck")
	})
	if !strings.Contains(far.last("edged/"+host(t)+"/dev/brief/data"), `"n":1`) {
		t.Error("what the brief program printed is not there")
	}
	begun := time.Now()
	pause(4 * time.Second)
	text, err := os.ReadFile(runs)
	// It waits 0.1 s, 0.2 s, 0.4 s, …, half of which may be less.
	if n := strings.Count(string(text), "\n"); err != nil || n < 3 || n > 9 {
		t.Errorf("%v after the first ends it was started %d times (%v):\n%s", time.Since(begun), n, err, text)
	}
	text, err = os.ReadFile(pid)
	if err != nil {
		t.Fatal(err)
	}
	e.signal(syscall.SIGTERM)
	if code := e.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
	eventually(t, 10*time.Second, "what the program started has ended too", func() bool {
		stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(text)) + "/stat")
		return err != nil || strings.Contains(string(stat), ") Z ")
	})
	if !strings.Contains(e.err.String(), "out of luck") {
		t.Error("the log has nothing of what the program said")
	}
}

// host is the gateway's id where none is configured.
func host(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return strings.ToLower(name)
}

// TestCapture records a device of a running gateway and a port of none, decodes and plays what was recorded.
func TestCapture(t *testing.T) {
	y := newTTY(t)
	e := gateway{config: jsonDevice("office", y)}.start(t)
	opened(t, e, 1)
	file := filepath.Join(t.TempDir(), "office.capture")
	recorder := start(t, exec.Command(e.bin, "device", "capture", "office", file, "--state", e.state()))
	eventually(t, 10*time.Second, "the recorder listens", func() bool {
		text, err := os.ReadFile(file)
		return err == nil && strings.Contains(string(text), "# device office, driver line, port "+y.name)
	})
	y.send(t, []byte("{\"t\":2"))
	pause(20 * time.Millisecond)
	y.send(t, []byte("1}\n"))
	pause(300 * time.Millisecond)
	y.send(t, []byte("{\"t\":22}\n\xff\x00"))
	recorded := func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	eventually(t, 10*time.Second, "all is recorded", func() bool { return strings.Contains(recorded(), "ff 00") })
	recorder.signal(syscall.SIGINT)
	if code := recorder.wait(t, 10*time.Second); code != 0 || !strings.Contains(recorder.err.String(), " bytes in ") {
		t.Errorf("the recorder ends with %d: %s", code, recorder.err.String())
	}
	if want := ` < "{\"t\":21}\n"` + "\n"; !strings.Contains(recorded(), want) {
		t.Errorf("recorded\n%s, want a line of the device as one piece, %s", recorded(), want)
	}
	out, talk, code := e.command(t, "", "decode", "line", "--set", `format = "json"`, file)
	if out != "{\"t\":21}\n{\"t\":22}\n" || code != 0 {
		t.Errorf("decode: exit %d, %q, %q", code, out, talk)
	}
	if _, talk, code := e.command(t, "", "device", "capture", "attic"); code != 64 || !strings.Contains(talk, `no device "attic"`) {
		t.Errorf("a device that is not there: exit %d, %q", code, talk)
	}
	if _, talk, code := e.command(t, "", "device", "capture", y.name); code != 69 || !strings.Contains(talk, "E103") || !strings.Contains(talk, "in use by edged") {
		t.Errorf("a port that is in use: exit %d, %q", code, talk)
	}
	e.signal(syscall.SIGTERM)
	e.wait(t, 10*time.Second)

	player := gateway{config: fmt.Sprintf("[device.again]\ndriver = \"line\"\nport = %q\nformat = \"json\"\n", "replay:"+file)}.start(t)
	far := subscribe(t, player.port, "far", "edged/+/dev/again/data")
	eventually(t, 20*time.Second, "the capture was played twice", func() bool {
		n := 0
		for _, m := range far.on("edged/" + host(t) + "/dev/again/data") {
			if strings.Contains(m.payload, `"t":22`) {
				n++
			}
		}
		return n >= 2
	})

	// Nobody runs: the port itself is opened.
	direct := start(t, exec.Command(e.bin, "device", "capture", "office", "--config", e.config, "--state", e.state()))
	eventually(t, 20*time.Second, "the port itself is recorded", func() bool {
		y.send(t, []byte("{\"t\":5}\n"))
		return strings.Contains(direct.out.String(), `"{\"t\":5}\n"`)
	})
	direct.signal(syscall.SIGTERM)
	if code := direct.wait(t, 10*time.Second); code != 0 {
		t.Errorf("exit %d", code)
	}
}
