// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"edged/broker/listener/listenertest"
	"edged/internal/built"
)

// web asks a console.
type web struct {
	client *http.Client
	url    string // without path
	user   string
}

// get returns code 0 while nobody answers.
func (w web) get(t *testing.T, path string) (code int, body string) {
	t.Helper()
	return w.ask(t, http.MethodGet, path)
}

func (w web) post(t *testing.T, path string) (code int, body string) {
	t.Helper()
	return w.ask(t, http.MethodPost, path)
}

func (w web) ask(t *testing.T, method, path string) (code int, body string) {
	t.Helper()
	r, err := http.NewRequest(method, w.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if w.user != "" {
		r.SetBasicAuth(w.user, "one two")
	}
	answer, err := w.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	b, err := io.ReadAll(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return 0, err.Error()
	}
	return answer.StatusCode, string(b)
}

// figure is the value of a sample in a scrape; false: it is not there.
func figure(text, sample string) (v float64, ok bool) {
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(sample) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		return 0, false
	}
	v, err := strconv.ParseFloat(m[1], 64)
	return v, err == nil
}

func TestConsoleTellsWhatTheGatewayDoes(t *testing.T) {
	t.Parallel()
	cloud := newMosquitto(t)
	y := newTTY(t)
	port := freePort(t)
	w := web{client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, url: fmt.Sprintf("http://127.0.0.1:%d", port)}
	e := gateway{config: fmt.Sprintf("[gateway]\nid = \"gw\"\n[console]\nlisten = \"127.0.0.1:%d\"\n", port) + uplinkTo(cloud.port) + jsonDevice("s", y)}.start(t)
	opened(t, e, 1)
	y.send(t, []byte("{\"n\":0}\n"))
	var text string
	eventually(t, 20*time.Second, "the figures tell of the reading and that the cloud has it", func() bool {
		_, text = w.get(t, "/metrics")
		connected, _ := figure(text, "edged_uplink_connected")
		acked, _ := figure(text, "edged_uplink_last_acknowledged_timestamp_seconds")
		frames, _ := figure(text, `edged_device_frames_total{device="s"}`)
		return connected == 1 && acked > 1e9 && frames == 1
	})
	if n, ok := figure(text, "edged_journal_written_bytes_total"); !ok || n == 0 {
		t.Errorf("the journal wrote %v", n)
	}
	for path, want := range map[string]string{"/healthz": `{"ok":true}`, "/readyz": `{"ready":true}`} {
		if code, body := w.get(t, path); code != 200 || strings.TrimSpace(body) != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	_, document := w.get(t, "/api/status")
	out, _ := e.run(t, "status", "--json")
	if got, want := shape(t, document), shape(t, out); got != want {
		t.Errorf("/api/status has\n%s\nedged status --json has\n%s", got, want)
	}
	if curl, err := exec.LookPath("curl"); err == nil {
		var out bytes.Buffer
		c := exec.Command(curl, "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", w.url+"/api/status")
		c.Stdout = &out
		if err := c.Run(); err != nil || out.String() != "421" {
			t.Errorf("curl under another name: %s, %v", out.String(), err)
		}
	}
	code, body := w.post(t, "/api/doctor/cloud")
	out, _ = e.run(t, "doctor", "cloud", "--json")
	if got, want := shape(t, body), shape(t, out); code != 200 || got != want || !strings.HasPrefix(body, `{"ok":true,`) {
		t.Errorf("/api/doctor/cloud answers %d with\n%s\nedged doctor cloud --json has\n%s", code, body, out)
	}
	cloud.stop(t)
	eventually(t, 30*time.Second, "the figures tell that the link is down, and when it last was not", func() bool {
		_, text = w.get(t, "/metrics")
		connected, there := figure(text, "edged_uplink_connected")
		age, _ := figure(text, "edged_uplink_last_acknowledged_age_seconds")
		return there && connected == 0 && age > 0
	})
	y.send(t, []byte("{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n"))
	eventually(t, 20*time.Second, "the figures tell what waits, by class", func() bool {
		_, text = w.get(t, "/metrics")
		readings, _ := figure(text, `edged_uplink_backlog_messages{class="readings"}`)
		bytes, _ := figure(text, `edged_uplink_backlog_bytes{class="readings"}`)
		return readings == 3 && bytes > 100
	})
	cloud.start(t)
	eventually(t, 40*time.Second, "the figures tell that all has arrived, and why the session is another", func() bool {
		_, text = w.get(t, "/metrics")
		closed, _ := figure(text, `edged_uplink_reconnects_total{reason="closed"}`)
		readings, there := figure(text, `edged_uplink_backlog_messages{class="readings"}`)
		return closed == 1 && there && readings == 0
	})
}

// shape is the keys of a document, at all levels.
func shape(t *testing.T, document string) string {
	t.Helper()
	var x any
	if err := json.Unmarshal([]byte(document), &x); err != nil {
		t.Fatalf("%v: %s", err, document)
	}
	var walk func(any) any
	walk = func(x any) any {
		switch x := x.(type) {
		case map[string]any:
			for k, v := range x {
				x[k] = walk(v)
			}
			return x
		case []any:
			for i, v := range x {
				x[i] = walk(v)
			}
			return x
		}
		return nil
	}
	b, err := json.Marshal(walk(x))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A port that is taken costs the console only, and is had once it is free; a reload moves the console and nobody else
// notices.
func TestConsoleWithoutItsPort(t *testing.T) {
	t.Parallel()
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { closed(t, busy.Close()) }()
	at := busy.Addr().String()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	config := func(listen string) string {
		return fmt.Sprintf("[gateway]\nid = \"gw\"\n[console]\nlisten = %q\n", listen)
	}
	e := gateway{config: config(at)}.start(t)
	near := subscribe(t, e.port, "near", "edged/#")
	told := func(out string) bool { return strings.Contains(out, "E401") && strings.Contains(out, at) }
	eventually(t, 10*time.Second, "status tells of the port", func() bool {
		out, exit := e.run(t, "status")
		return exit == 1 && told(out)
	})
	if !told(e.err.String()) {
		t.Errorf("the log says nothing: %s", e.err.String())
	}
	closed(t, busy.Close())
	eventually(t, 20*time.Second, "the console has its port", func() bool {
		code, _ := web{client: client, url: "http://" + at}.get(t, "/readyz")
		out, exit := e.run(t, "status")
		return code == 200 && exit == 0 && strings.Contains(out, at)
	})
	before := len(near.on("edged/gw/status"))
	free := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	e.write(t, config(free))
	e.signal(syscall.SIGHUP)
	e.ready(t)
	eventually(t, 10*time.Second, "the console is at its new address", func() bool {
		here, _ := web{client: client, url: "http://" + free}.get(t, "/healthz")
		there, _ := web{client: client, url: "http://" + at}.get(t, "/healthz")
		return here == 200 && there == 0
	})
	e.write(t, config(""))
	e.signal(syscall.SIGHUP)
	e.ready(t)
	if code, _ := (web{client: client, url: "http://" + free}).get(t, "/healthz"); code != 0 {
		t.Errorf("a console that is turned off answers %d", code)
	}
	if got := near.on("edged/gw/status"); len(got) != before {
		t.Errorf("the gateway's session noticed: %v", got[before:])
	}
}

// Off loopback: HTTPS and one of the broker's users, who may read what is shown.
func TestConsoleOnTheNetwork(t *testing.T) {
	t.Parallel()
	e := &edged{dir: t.TempDir(), bin: built.Path("edged"), port: freePort(t)}
	e.config = e.dir + "/edged.toml"
	authority := listenertest.NewAuthority(t)
	cert, key := authority.Issue("127.0.0.1")
	port := freePort(t)
	e.write(t, fmt.Sprintf("[console]\nlisten = \"0.0.0.0:%d\"\n[broker.tls]\ncert = %q\nkey = %q\n", port,
		listenertest.Write(t, e.dir, "cert.pem", cert), listenertest.Write(t, e.dir, "key.pem", key)))
	refused := exec.Command(e.bin, "config", "check", e.config)
	if out, err := refused.CombinedOutput(); err == nil || refused.ProcessState.ExitCode() != 78 || !strings.Contains(string(out), "E410") {
		t.Errorf("without a user: exit %d\n%s", refused.ProcessState.ExitCode(), out)
	}
	for _, args := range [][]string{{"add", "panel", "--subscribe", "edged/#"}, {"add", "plc", "--subscribe", "plc/#"}} {
		if _, talk, exit := e.user(t, "one two\n", args...); exit != 0 {
			t.Fatalf("user %v: exit %d, %s", args, exit, talk)
		}
	}
	e.exec(t)
	e.ready(t)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: authority.Client(), DisableKeepAlives: true}}
	w := web{client: client, url: fmt.Sprintf("https://127.0.0.1:%d", port)}
	eventually(t, 10*time.Second, "the console asks for a login", func() bool {
		code, _ := w.get(t, "/healthz")
		return code == 401
	})
	for user, want := range map[string]int{"panel": 200, "plc": 403, "nobody": 401} {
		w.user = user
		if code, body := w.get(t, "/metrics"); code != want {
			t.Errorf("%s: %d, want %d: %.100s", user, code, want, body)
		}
	}
	plain := web{client: client, url: fmt.Sprintf("http://127.0.0.1:%d", port), user: "panel"}
	if code, body := plain.get(t, "/metrics"); code == 200 {
		t.Errorf("plain HTTP is answered: %s", body)
	}
	if strings.Contains(e.err.String(), "one two") {
		t.Error("a password stands in the log")
	}
}
