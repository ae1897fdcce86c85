// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// command runs edged with that on standard input, against this gateway's state and configuration.
func (e *edged) command(t *testing.T, in string, args ...string) (stdout, talk string, exit int) {
	t.Helper()
	cmd := exec.Command(e.bin, append(args, "--state", e.state(), "--config", e.config)...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errOut
	var failed *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &failed) {
		t.Fatal(err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

// guarded is a mosquitto that wants this user.
func guarded(t *testing.T, user, password string) *mosquitto {
	t.Helper()
	m := newMosquitto(t)
	m.stop(t)
	file := filepath.Join(filepath.Dir(m.conf), "passwords")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mosquitto_passwd", "-b", file, user, password).CombinedOutput(); err != nil {
		t.Fatalf("mosquitto_passwd: %v\n%s", err, out)
	}
	conf, err := os.ReadFile(m.conf)
	if err != nil {
		t.Fatal(err)
	}
	conf = bytes.Replace(conf, []byte("allow_anonymous true"), []byte("allow_anonymous false\npassword_file "+file), 1)
	if err := os.WriteFile(m.conf, conf, 0o600); err != nil {
		t.Fatal(err)
	}
	m.start(t)
	return m
}

// finding is one step as the commands print it with --json.
type finding struct {
	Step, Code, Text string
	OK               bool
}

type steps struct {
	OK       bool
	Steps    []finding
	Saved    string
	ClientID string `json:"client_id"`
	Cloud    struct {
		State      string
		Reconnects uint64
	}
}

func (s steps) names() []string {
	var names []string
	for _, f := range s.Steps {
		names = append(names, f.Step)
	}
	return names
}

func readSteps(t *testing.T, out string) (s steps) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return s
}

func TestConnectAndDoctor(t *testing.T) {
	t.Parallel()
	const password = "s3cr3t-geheim"
	cloud := guarded(t, "hall", password)
	e := gateway{config: "# a comment that stays\n[gateway]\nid = \"hall\"\n"}.start(t)
	url := fmt.Sprintf("mqtt://127.0.0.1:%d", cloud.port)
	before, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, in, code string
		args           []string
		exit           int
	}{
		{"a wrong password", "wrong\n", "E312", []string{url, "--username", "hall", "--password-file", "-"}, 69},
		{"nobody there", "", "E307", []string{fmt.Sprintf("mqtt://127.0.0.1:%d", freePort(t))}, 69},
		{"no address", "", "E503", []string{"http://127.0.0.1"}, 78},
		{"only a try", password + "\n", "", []string{url, "--username", "hall", "--password-file", "-", "--dry-run"}, 0},
	} {
		out, talk, exit := e.command(t, c.in, append([]string{"connect"}, c.args...)...)
		if exit != c.exit || !strings.Contains(out+talk, c.code) {
			t.Errorf("%s: exit %d, want %d with %s\n%s%s", c.name, exit, c.exit, c.code, out, talk)
		}
		if after, err := os.ReadFile(e.config); err != nil || !bytes.Equal(after, before) {
			t.Errorf("%s: the configuration is %q, %v, was %q", c.name, after, err, before)
		}
	}
	out, talk, exit := e.command(t, password+"\n", "connect", url, "--username", "{gateway}", "--password-file", "-", "--json")
	s := readSteps(t, out)
	if want := []string{"tcp", "mqtt", "round trip"}; exit != 0 || !s.OK || !slices.Equal(s.names(), want) || s.Saved != e.config || !strings.Contains(talk, "in force: uplink") {
		t.Fatalf("connect: exit %d, steps %v, want %v\n%s%s", exit, s.names(), want, out, talk)
	}
	after, err := os.ReadFile(e.config)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(after, before) || bytes.Contains(after, []byte(password)) {
		t.Errorf("the configuration is %q, was %q", after, before)
	}
	eventually(t, 20*time.Second, "the link is up", func() bool {
		out, _, _ := e.command(t, "", "status", "--json")
		return readSteps(t, out).Cloud.State == "up"
	})
	out, talk, exit = e.command(t, "", "doctor", "cloud", "--json")
	s = readSteps(t, out)
	if exit != 0 || !s.OK || s.ClientID != "hall-doctor" || len(s.Steps) != 3 || s.Cloud.State != "up" || s.Cloud.Reconnects != 0 {
		t.Errorf("doctor: exit %d\n%s%s", exit, out, talk)
	}
	if out, talk, exit = e.command(t, "", "connect", url); exit != 0 || !strings.Contains(out, "hall-connect") {
		t.Errorf("connect beside the link: exit %d\n%s%s", exit, out, talk)
	}
	cloud.stop(t)
	out, talk, exit = e.command(t, "", "doctor", "cloud")
	if exit != 1 || !strings.Contains(out, "E307") || !strings.Contains(out, "the link itself: down") {
		t.Errorf("doctor without a cloud: exit %d\n%s%s", exit, out, talk)
	}
	if strings.Contains(out+talk+e.err.String(), password) {
		t.Error("the password is in the output or the log")
	}
}
