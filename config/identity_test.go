// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/config"
)

func TestSafeID(t *testing.T) {
	for _, c := range []struct{ host, want string }{
		{"raspberrypi", "raspberrypi"},
		{"Press-Hall_3.example.com", "press-hall-3"},
		{"", "gateway"},
		{"...", "gateway"},
		{"Ärger", "rger"},
		{"a__b--c", "a-b-c"},
		{"-x-", "x"},
		{"日本", "gateway"},
		{"a23456789b123456789c123456789d1-3", "a23456789b123456789c123456789d1"},
	} {
		if got := config.SafeID(c.host); got != c.want {
			t.Errorf("SafeID(%q) = %q, want %q", c.host, got, c.want)
		}
	}
}

func TestDefaultIDIsKept(t *testing.T) {
	dir := t.TempDir()
	first, err := config.DefaultID(dir)
	if err != nil || first == "" {
		t.Fatalf("DefaultID = %q, %v", first, err)
	}
	name := filepath.Join(dir, "gateway-id")
	if err := os.WriteFile(name, []byte("kept-before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := config.DefaultID(dir); got != "kept-before" || err != nil {
		t.Errorf("with an id in the state directory: %q, %v", got, err)
	}
	for _, damaged := range []string{"", "\x00\x00", "A b"} {
		if err := os.WriteFile(name, []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := config.DefaultID(dir); got != first || err != nil {
			t.Errorf("with the damaged file %q: %q, %v; want %q", damaged, got, err, first)
		}
		if b, err := os.ReadFile(name); strings.TrimSpace(string(b)) != first || err != nil {
			t.Errorf("after the damaged file %q: %q, %v; want %q", damaged, b, err, first)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("the state directory holds %v, %v; want one file", entries, err)
	}
	if got, err := config.DefaultID(filepath.Join(dir, "missing")); got != first || err == nil {
		t.Errorf("without a state directory: %q, %v; want %q and an error", got, err, first)
	}
	if got, err := config.DefaultID(""); got != first || err != nil {
		t.Errorf("keeping nothing: %q, %v; want %q", got, err, first)
	}
}

func TestPlaceholder(t *testing.T) {
	const up = "[uplink]\nurl = \"mqtt://a\"\nusername = \"u-{gateway}\"\nsend = [\"a/{gateway}/{gateway}\"]\n"
	for _, c := range []struct{ name, text, want string }{
		{"configured", "[gateway]\nid = \"hall\"\n" + up, "hall"},
		{"kept", up, "kept"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "gateway-id"), []byte("kept"), 0o600); err != nil {
				t.Fatal(err)
			}
			cfg, err := config.Parse("e.toml", c.text)
			if err != nil {
				t.Fatal(err)
			}
			if err := cfg.Identify(dir); err != nil {
				t.Fatal(err)
			}
			u := cfg.Uplink
			got := strings.Join([]string{cfg.Gateway.ID, u.ClientID, u.Username, u.Send[0], u.Receive[0]}, " ")
			want := strings.ReplaceAll("X X u-X a/X/X edged/X/dev/+/set", "X", c.want)
			if got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestHash(t *testing.T) {
	hash := func(text string) string {
		t.Helper()
		cfg, err := config.Parse("e.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		if err := cfg.Identify(""); err != nil {
			t.Fatal(err)
		}
		return cfg.Hash
	}
	t.Setenv("EDGED_TEST_SECRET", "one")
	const up = "[gateway]\nid = \"a\"\ntags = { x = \"1\", y = \"2\" }\n[uplink]\nurl = \"mqtt://a\"\nusername = \"u\"\npassword = \"env:EDGED_TEST_SECRET\"\n"
	same := hash(up)
	if len(same) != 12 {
		t.Errorf("hash %q, want 12 digits", same)
	}
	if got := hash("# other\n" + strings.Replace(up, `x = "1", y = "2"`, `y = "2", x = "1"`, 1) + "qos = 1\n"); got != same {
		t.Errorf("comments, order and defaults change the hash")
	}
	t.Setenv("EDGED_TEST_SECRET", "two")
	if got := hash(up); got != same {
		t.Errorf("the secret changes the hash")
	}
	for _, other := range []string{
		up + "qos = 0\n", strings.Replace(up, `"2"`, `"3"`, 1), strings.Replace(up, `id = "a"`, `id = "b"`, 1),
		up + "[broker.limits]\nclients = 5\n", up + "[device.a]\ndriver = \"pms5003\"\nport = \"sim\"\n",
	} {
		if hash(other) == same {
			t.Errorf("the same hash for\n%s\nand\n%s", up, other)
		}
	}
}
