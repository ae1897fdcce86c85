// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const sensor = `driver   = "mine"
title    = "Mine"
class    = "distance"
protocol = "frame"

[[frame]]
start    = "59 59"
size     = 4
checksum = { kind = "sum8" }

[[reading]]
name = "distance"
at   = 2

[[test]]
name     = "far"
bytes    = "59 59 07 b9"
readings = { distance = 7 }
`

func TestDeviceTest(t *testing.T) {
	for _, c := range []struct {
		name, from, to string // what is changed in sensor
		code           int
		want           string
	}{
		{"fine", "", "", 0, "mine: 1 tests passed\n"},
		{"another value", "distance = 7", "distance = 8", 1, "mine.toml:15:3: test: \"far\": distance is 7, want 8\nmine: 1 of 1 tests failed\n"},
		{"a misspelt key", "start ", "strat ", 78, "mine.toml:7:1: frame.strat: unknown key; did you mean \"start\"?\n"},
		{"no test", sensor[strings.Index(sensor, "[[test]]"):], "", 1, "mine.toml: there is no [[test]] in it: add bytes that the device sends, and what they mean\n"},
	} {
		dir := t.TempDir()
		file := filepath.Join(dir, "mine.toml")
		if err := os.WriteFile(file, []byte(strings.Replace(sensor, c.from, c.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errOut bytes.Buffer
		code := execute([]string{"device", "test", file}, strings.NewReader(""), &out, &errOut)
		got := strings.ReplaceAll(strings.TrimPrefix(out.String()+errOut.String(), "edged: "), dir+"/", "")
		if code != c.code || !strings.Contains(got, c.want) {
			t.Errorf("%s: exit %d, %q, want %d, %q", c.name, code, got, c.code, c.want)
		}
	}
}

// TestDecodeByAFile reads bytes by a description that is not in the catalogue.
func TestDecodeByAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(file, []byte(sensor), 0o600); err != nil {
		t.Fatal(err)
	}
	wire := filepath.Join(t.TempDir(), "wire")
	if err := os.WriteFile(wire, []byte("59 59 07 b9"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errOut bytes.Buffer
	code := execute([]string{"decode", file, wire, "--hex"}, strings.NewReader(""), &out, &errOut)
	if want := "{\"distance\":7}\n"; code != 0 || out.String() != want {
		t.Errorf("exit %d, %q %q, want %q", code, out.String(), errOut.String(), want)
	}
}
