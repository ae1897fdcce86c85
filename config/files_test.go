// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"edged/config"
)

// tree writes files below a new directory; a name that ends with / is a directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o755)
		if err == nil && strings.HasSuffix(name, "/") {
			err = os.MkdirAll(path, 0o755)
		} else if err == nil {
			err = os.WriteFile(path, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLoadDir(t *testing.T) {
	const main, a, b = "edged.toml", "conf.d/a.toml", "conf.d/b.toml"
	for _, c := range []struct {
		name  string
		files map[string]string
		read  []string // of Files
		want  []string // problems
	}{
		{"nothing there", nil, nil, nil},
		{"an empty file", map[string]string{main: ""}, []string{main}, nil},
		{"no edged.toml", map[string]string{a: "[gateway]\nid = \"a\"\n"}, []string{a}, nil},
		{
			"in order",
			map[string]string{main: "", b: "[gateway]\nid = \"a\"\n", a: "[uplink]\nurl = \"mqtt://a\"\n", "conf.d/.c.toml": "x", "conf.d/d.toml~": "x", "conf.d/e": "x"},
			[]string{main, a, b},
			nil,
		},
		{"different tables of one", map[string]string{main: "[broker]\nanonymous = true\n", a: "[broker.limits]\nclients = 1\n"}, []string{main, a}, nil},
		{"the table below first", map[string]string{main: "[broker.limits]\nclients = 1\n", a: "[broker]\nanonymous = true\n", b: "[uplink]\nurl=\"mqtt://a\"\n"}, []string{main, a, b}, nil},
		{"a table in two files", map[string]string{main: "\n[gateway]\nid = \"a\"\n", a: "gateway.tags.x = \"a\"\ngateway.id = \"b\"\n", b: "broker.limits.clients = 0\n"}, nil, []string{
			"DIR/conf.d/a.toml:2:9: gateway: stands in two files, the other is DIR/edged.toml:2:2; a table stands in one file: move its keys together (E505)",
			"DIR/conf.d/b.toml:1:25: broker.limits.clients: 0 is out of range: use 1 to 1048576 (E503)",
		}},
		{"headers in both", map[string]string{main: "[broker]\n[broker.limits]\nclients = 1\n", a: "[broker.limits]\nretained = 1\n[broker]\n"}, nil, []string{
			"DIR/conf.d/a.toml:1:9: broker.limits: stands in two files, the other is DIR/edged.toml:2:9; a table stands in one file: move its keys together (E505)",
			"DIR/conf.d/a.toml:3:2: broker: stands in two files, the other is DIR/edged.toml:1:2; a table stands in one file: move its keys together (E505)",
		}},
		{"inline and header", map[string]string{main: "uplink = { url = \"mqtt://a\" }\n", a: "[uplink.queue]\nsize = \"1MiB\"\n"}, nil, []string{
			"DIR/conf.d/a.toml:1:2: uplink: stands in two files, the other is DIR/edged.toml:1:1; a table stands in one file: move its keys together (E505)",
		}},
		{"syntax errors alone, of every file", map[string]string{main: "[gateway\n", a: "[gatewya]\n", b: "x\n"}, nil, []string{
			"DIR/edged.toml:1:9: expected '.' or ']' to end table name, but got '\\n' instead (E500)",
			"DIR/conf.d/b.toml:1:2: expected '.' or '=', but got '\\n' instead (E500)",
		}},
		{"a directory", map[string]string{"edged.toml/": "", a: ""}, nil, []string{
			"DIR/edged.toml: read: is a directory (E511)",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := tree(t, c.files)
			cfg, err := config.LoadDir(dir)
			var ps config.Problems
			if err != nil && !errors.As(err, &ps) {
				t.Fatalf("error %T %v", err, err)
			}
			var got []string
			for _, p := range ps {
				got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
			}
			compare(t, c.name, got, c.want)
			if cfg == nil {
				return
			}
			for i, name := range c.read {
				c.read[i] = filepath.Join(dir, name)
			}
			if !slices.Equal(cfg.Files, c.read) {
				t.Errorf("read %q, want %q", cfg.Files, c.read)
			}
		})
	}
}

func TestLinkToNowhereIsNotAnEmptyConfiguration(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink("/nowhere/edged.toml", filepath.Join(dir, "edged.toml")); err != nil {
		t.Fatal(err)
	}
	if _, err := config.LoadDir(dir); err == nil || !strings.Contains(err.Error(), "edged.toml: there is no such file") {
		t.Errorf("LoadDir = %v, want E511", err)
	}
}

func TestTablesOfSeveralFilesAreJoined(t *testing.T) {
	const broker, limits = "[broker]\ndurability = \"memory\"\n", "[broker.limits]\nclients = 7\n"
	for _, files := range []map[string]string{
		{"edged.toml": broker, "conf.d/a.toml": limits}, {"edged.toml": limits, "conf.d/a.toml": broker},
	} {
		cfg, err := config.LoadDir(tree(t, files))
		if err != nil || cfg.Broker.Durability != "memory" || cfg.Broker.Limits.Clients != 7 {
			t.Errorf("%q: %+v, %v", files, cfg, err)
		}
	}
}

func TestLoadFile(t *testing.T) {
	dir := tree(t, map[string]string{"x.toml": "[gateway]\nid = \"x\"\n", "conf.d/a.toml": "foo = 1\n"})
	cfg, err := config.Load(filepath.Join(dir, "x.toml"))
	if err != nil || cfg.Gateway.ID != "x" || len(cfg.Files) != 1 {
		t.Errorf("Load = %+v, %v", cfg, err)
	}
	if _, err := config.Load(filepath.Join(dir, "y.toml")); err == nil || !strings.Contains(err.Error(), "y.toml: there is no such file; check the path (E511)") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestEmptyIsALoopbackBroker(t *testing.T) {
	cfg, err := config.Parse("e.toml", "")
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Broker.Listen) != 1 || cfg.Broker.Listen[0] != "127.0.0.1:1883" || !cfg.Broker.Anonymous || cfg.Uplink != nil || len(cfg.Devices) != 0 {
		t.Errorf("an empty file gives %+v", cfg)
	}
}
