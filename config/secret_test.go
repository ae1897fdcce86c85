// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/config"
)

func secretFile(t *testing.T, mode os.FileMode, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestSecretRead(t *testing.T) {
	credentials := t.TempDir()
	if err := os.WriteFile(filepath.Join(credentials, "cloud"), []byte("from systemd\n"), 0o444); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	t.Setenv("EDGED_TEST_SECRET", "from env")
	t.Setenv("EDGED_TEST_EMPTY", "")
	for _, c := range []struct{ name, ref, want, err string }{
		{"file", "file:" + secretFile(t, 0o600, "a b\n"), "a b", ""},
		{"group may read", "file:" + secretFile(t, 0o640, "x"), "x", ""},
		{"one newline is cut", "file:" + secretFile(t, 0o600, "x \r\n\n"), "x \r\n", ""},
		{"carriage return", "file:" + secretFile(t, 0o600, "x\r\n"), "x", ""},
		{"bytes", "file:" + secretFile(t, 0o600, "\x00\xff\n"), "\x00\xff", ""},
		{"world-readable", "file:" + secretFile(t, 0o604, "geheim"), "", "chmod o= "},
		{"empty", "file:" + secretFile(t, 0o600, "\n"), "", "is empty"},
		{"large", "file:" + secretFile(t, 0o600, strings.Repeat("x", 65<<10)), "", "more than 64 KiB"},
		{"a directory", "file:" + credentials, "", "not a regular file"},
		{"missing", "file:/nowhere/x", "", "there is no file /nowhere/x"},
		{"env", "env:EDGED_TEST_SECRET", "from env", ""},
		{"env not set", "env:EDGED_TEST_NOT_SET", "", "EDGED_TEST_NOT_SET is not set"},
		{"env empty", "env:EDGED_TEST_EMPTY", "", "is empty"},
		{"credential", "cred:cloud", "from systemd", ""},
		{"credential missing", "cred:other", "", "there is no file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := config.NewSecret(c.ref)
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.Read()
			if string(got) != c.want || c.err == "" != (err == nil) || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("Read() = %q, %v; want %q, %q", got, err, c.want, c.err)
			}
			if err != nil && strings.Contains(err.Error(), "geheim") {
				t.Errorf("the error holds the secret: %v", err)
			}
		})
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	s, _ := config.NewSecret("cred:cloud")
	if _, err := s.Read(); err == nil || !strings.Contains(err.Error(), "LoadCredential=cloud:PATH") {
		t.Errorf("without systemd: %v", err)
	}
}

func TestSecretReferences(t *testing.T) {
	for _, ref := range []string{"", "hunter2", "file:", "env:", "cred:", "file:relative", "http://x", "FILE:/x", "cred:../x", "cred:.."} {
		if s, err := config.NewSecret(ref); err == nil {
			t.Errorf("NewSecret(%q) = %v, want an error", ref, s)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s, err := config.NewSecret("env:EDGED_TEST_SECRET")
	if err != nil {
		t.Fatal(err)
	}
	holder := struct {
		Password config.Secret
		Pointer  *config.Secret
	}{s, &s}
	var all bytes.Buffer
	for _, v := range []any{s, &s, holder, []config.Secret{s}, map[string]config.Secret{"a": s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t"} {
			fmt.Fprintf(&all, verb+"\n", v)
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	slog.New(slog.NewTextHandler(&all, nil)).Info("x", "a", s, "b", holder)
	slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "a", s, "b", holder)
	fmt.Fprintln(&all, s.String(), s.GoString())
	if strings.Contains(all.String(), "EDGED_TEST_SECRET") || !strings.Contains(all.String(), "***") {
		t.Errorf("a secret printed something else than ***:\n%s", all.String())
	}
}

func TestSecretsOfAConfiguration(t *testing.T) {
	name := secretFile(t, 0o640, "geheim\n")
	open := secretFile(t, 0o644, "geheim\n")
	uplink := "[uplink]\nurl = \"mqtt://a\"\nusername = \"u\"\npassword = "
	runFaults(t, []faultCase{
		{"there", uplink + "\"file:" + name + "\"\n", nil},
		{"missing", uplink + "\"file:/nowhere/x\"\n", []string{`e.toml:4:12: uplink.password: there is no file /nowhere/x (E509)`}},
		{"open to everybody", uplink + "\"file:" + open + "\"\n", []string{
			`e.toml:4:12: uplink.password: every user of this machine may use ` + open + ` (mode 0644): chmod o= ` + open + ` (E509)`,
		}},
		{"relative", uplink + "\"file:x\"\n", []string{
			`e.toml:4:12: uplink.password: the path "x" is not absolute; write "file:/etc/edged/secrets/NAME", "env:NAME" or "cred:NAME" (E503)`,
		}},
		{"literal", uplink + "\"geheim\"\n", []string{
			`e.toml:4:12: uplink.password: a secret must not stand in the configuration; write "file:/etc/edged/secrets/NAME", "env:NAME" or "cred:NAME" (E510)`,
		}},
		{"a number", uplink + "12345\n", []string{`e.toml:4:12: uplink.password: must be a string, not an integer (E502)`}},
	})
	cfg, err := config.Parse("e.toml", uplink+"\"file:"+name+"\"\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := cfg.Uplink.Password(); string(got) != "geheim" || err != nil {
		t.Errorf("Password() = %q, %v", got, err)
	}
	if err := os.WriteFile(name, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := cfg.Uplink.Password(); string(got) != "other" || err != nil {
		t.Errorf("after the file changed: Password() = %q, %v", got, err)
	}
	if shown := fmt.Sprintf("%v %+v %#v", cfg, *cfg, *cfg); strings.Contains(shown, name) {
		t.Errorf("the configuration prints its secret: %s", shown)
	}
}
