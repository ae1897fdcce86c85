// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs one command line; in is the content of standard input.
func call(t *testing.T, in string, args ...string) (out, talk string, exit int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "stdin")
	if err := os.WriteFile(file, []byte(in), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.Close(); err != nil && !strings.Contains(err.Error(), "already closed") {
			t.Error(err)
		}
	}()
	var o, e bytes.Buffer
	exit = execute(args, f, &o, &e)
	return o.String(), e.String(), exit
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name, in, out, talk string
		args                []string
		exit                int
	}{
		{
			"a frame of an SDS011", "aa c0 d4 04 3a 0a a1 60 1d ab", `{"pm25":123.6,"pm10":261.8}` + "\n", "0 garbage bytes, 0 bad frames\n",
			[]string{"decode", "sds011", "--hex"},
			exitFine,
		},
		{
			"a wrong checksum", "aa c0 d4 04 3a 0a a1 60 00 ab", "", "0 garbage bytes, 1 bad frames\n",
			[]string{"decode", "sds011", "--hex"},
			exitProblem,
		},
		{
			"garbage and an unfinished frame", "00 01 aa c0 06 00 06 00 58 d9 3d ab aa c0", `{"pm25":0.6,"pm10":0.6}` + "\n", "4 garbage bytes, 0 bad frames\n",
			[]string{"decode", "sds011", "--hex"},
			exitFine,
		},
		{
			"a line with options", "T=21.4,H=48\nnonsense\n", `{"temperature":21.4,"humidity":48}` + "\n", "0 garbage bytes, 1 bad frames\n",
			[]string{"decode", "line", "--set", `format = "template"`, "--set", `parse = "T={temperature},H={humidity}"`},
			exitFine,
		},
		{"an unknown driver", "", "", "no driver", []string{"decode", "sds12"}, exitUsage},
		{"a wrong option", "", "", "--set", []string{"decode", "line", "--set", "format = 7"}, exitUsage},
		{"no hexadecimal text", "zz", "", "hexadecimal", []string{"decode", "sds011", "--hex"}, exitProblem},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, talk, exit := call(t, c.in, c.args...)
			if out != c.out || !strings.Contains(talk, c.talk) || exit != c.exit {
				t.Errorf("got %q, %q, exit %d, want %q, %q, exit %d", out, talk, exit, c.out, c.talk, c.exit)
			}
		})
	}
}

func TestConfigCheck(t *testing.T) {
	file := filepath.Join(t.TempDir(), "edged.toml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("[device.air]\ndriver = \"pms5003\"\nport = \"sim\"\n")
	if out, talk, exit := call(t, "", "config", "check", file); exit != exitFine || out != "" || !strings.Contains(talk, "fine") {
		t.Errorf("a good file: %q, %q, exit %d", out, talk, exit)
	}
	write("[device.air]\ndriver = \"pms5003\"\nprot = \"sim\"\n")
	_, talk, exit := call(t, "", "config", "check", file)
	for _, want := range []string{file + ":3:1", "prot", `did you mean "port"?`, "E501"} {
		if exit != exitConfig || !strings.Contains(talk, want) {
			t.Errorf("exit %d, want %d with %q:\n%s", exit, exitConfig, want, talk)
		}
	}
	out, _, exit := call(t, "", "config", "check", file, "--json")
	var list struct {
		OK       bool
		Problems []struct{ Code string }
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil || exit != exitConfig || list.OK || len(list.Problems) == 0 {
		t.Errorf("--json: exit %d, %v\n%s", exit, err, out)
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"devcie"},
		{"decode"},
		{"connect"},
		{"doctor"},
		{"doctor", "x"},
		{"connect", "mqtt://a", "--username", "u", "--password-file", "-"},
		{"sub"},
		{"pub", "topic"},
		{"status", "a", "b"},
		{"run", "--nonsense"},
		{"pub", "-q", "3", "a", "b"},
		{"sub", "--url", "http://127.0.0.1", "#"},
		{"demo", "--for", "-1s"},
	} {
		if _, talk, exit := call(t, "", args...); exit != exitUsage || !strings.HasPrefix(talk, "edged: ") {
			t.Errorf("edged %s: exit %d, want %d\n%s", strings.Join(args, " "), exit, exitUsage, talk)
		}
	}
	if _, talk, _ := call(t, "", "statsu"); !strings.Contains(talk, `Did you mean "status"?`) {
		t.Errorf("no suggestion: %s", talk)
	}
}

func TestCommandsThatNeedTheGatewayTellThatItDoesNotRun(t *testing.T) {
	state := t.TempDir()
	for _, args := range [][]string{{"status"}, {"sub", "#"}, {"pub", "a", "b"}} {
		_, talk, exit := call(t, "", append(args, "--state", state)...)
		if exit != exitUnavailable || !strings.Contains(talk, "edged is not running") {
			t.Errorf("edged %s: exit %d\n%s", args[0], exit, talk)
		}
	}
}

func TestDriversAndVersion(t *testing.T) {
	out, _, exit := call(t, "", "drivers")
	for _, name := range []string{"line", "pms5003", "pms5003t", "sds011", "sds198"} {
		if exit != exitFine || !strings.Contains(out, name) {
			t.Errorf("drivers: exit %d, no %s in\n%s", exit, name, out)
		}
	}
	if out, _, _ := call(t, "", "drivers", "sds011"); !strings.Contains(out, "working_period") || !strings.Contains(out, "µg/m³") {
		t.Errorf("drivers sds011:\n%s", out)
	}
	if out, _, exit := call(t, "", "version", "--json"); exit != exitFine || !json.Valid([]byte(out)) {
		t.Errorf("version --json: %s", out)
	}
}

func TestDriversOfTheUsersOwnAreListed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "devices", "thermo.toml")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	text := "driver = \"thermo\"\ntitle = \"A thermometer\"\nprotocol = \"modbus\"\n[[reading]]\nname = \"t\"\nat = 1\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config := "--config=" + filepath.Join(dir, "edged.toml")
	if out, _, exit := call(t, "", "drivers", config); exit != exitFine || !strings.Contains(out, "A thermometer  ("+file+")") || !strings.Contains(out, "pms5003") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	if out, _, exit := call(t, "", "drivers", "thermo", config); exit != exitFine || !strings.Contains(out, "A thermometer") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "devices", "x.toml"), []byte("title = 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, talk, exit := call(t, "", "drivers", config); exit != exitConfig || !strings.Contains(out, "thermo") || !strings.Contains(talk, "x.toml:1:1") {
		t.Errorf("one of two is faulty: exit %d:\n%s\n%s", exit, out, talk)
	}
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, args := range [][]string{nil, {"demo"}, {"run"}, {"sub"}, {"pub"}, {"status"}, {"config"}, {"config", "check"}, {"connect"}, {"doctor"}, {"drivers"}, {"decode"}, {"version"}} {
		if out, _, _ := call(t, "", append(args, "--help")...); !strings.Contains(out, "Examples:") {
			t.Errorf("edged %s --help has no example", strings.Join(args, " "))
		}
	}
}
