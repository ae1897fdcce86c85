// SPDX-License-Identifier: Apache-2.0

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const thermometer = `driver   = "thermo"
title    = "A thermometer"
protocol = "modbus"
[[reading]]
name = "temperature"
at   = 1
unit = "°C"
`

// beside writes a configuration and descriptions into a directory, and returns the configuration's path.
func beside(t *testing.T, config string, descriptions map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"edged.toml": config}
	for name, text := range descriptions {
		files["devices/"+name] = text
	}
	for name, text := range files {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "edged.toml")
}

func TestDevicesOfTheUsersOwnDescriptions(t *testing.T) {
	path := beside(t, "[device.a]\ndriver = \"thermo\"\nport = \"sim\"\nreading.temperature.offset = 1\n[device.b]\ndriver = \"sdm120\"\nport = \"sim\"\n", map[string]string{
		"thermo.toml":    thermometer,
		"my-sdm120.toml": strings.Replace(thermometer, "thermo", "sdm120", 1),
		".#thermo.toml":  "an editor's",
		"notes.txt":      "no description",
	})
	cfg, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := cfg.Drivers.Get("sdm120")
	if !ok || len(d.Readings) != 1 {
		t.Errorf("sdm120 is the catalogue's: %v", d)
	}
	if _, ok := cfg.Drivers.Get("sdm230"); !ok {
		t.Error("the drivers of the catalogue are gone")
	}
	if len(cfg.Files) != 3 {
		t.Errorf("files %q", cfg.Files)
	}
	same, err := Load(path)
	if err != nil || same.Hash != cfg.Hash {
		t.Errorf("hash %s, then %s: %v", cfg.Hash, same.Hash, err)
	}

	state := t.TempDir()
	if err := cfg.KeepGood(state); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(filepath.Dir(path), "devices/thermo.toml")
	if err := os.WriteFile(file, []byte(strings.Replace(thermometer, "at   = 1", "at   = 2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if other, err := Load(path); err != nil || other.Hash == cfg.Hash {
		t.Errorf("another description, the same hash: %v", err)
	}
	good, err := LoadGood(state)
	if err != nil || good.Hash != cfg.Hash {
		t.Errorf("the last good configuration is another: %v", err)
	}
}

func TestFaultsOfDescriptionsAreThoseOfTheConfiguration(t *testing.T) {
	path := beside(t, "[device.a]\ndriver = \"thermo\"\nprot = \"sim\"\n", map[string]string{
		"a.toml": strings.Replace(thermometer, "at   = 1", "att = 1\nat = 70000", 1),
		"b.toml": "driver = thermo\n",
		"c.toml": thermometer,
		"d.toml": thermometer,
		"e.toml": strings.Replace(thermometer, "at   = 1", "at = \"1\"", 1),
	})
	_, err := Load(path)
	if err == nil {
		t.Fatal("nothing is wrong")
	}
	dir := filepath.Dir(path)
	got := strings.ReplaceAll(err.Error(), dir+"/", "")
	want := []string{
		`edged.toml:3:1: device.a.prot: unknown key; did you mean "port"? (E501)`,
		`devices/a.toml:6:1: reading.att: unknown key; did you mean "at"? (E501)`,
		`devices/a.toml:7:1: reading.at: does not lie within registers 0 to 65535, or is more than the limit (E503)`,
		`devices/b.toml:1:10: expected value but found "thermo" instead (E500)`,
		`devices/d.toml:1:1: driver: "thermo" is described by devices/c.toml already (E504)`,
		`devices/e.toml:6:1: reading.at: incompatible types: TOML value has type string; destination has type integer (E502)`,
	}
	if got != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
	var pretty string
	if all, ok := err.(Problems); ok {
		pretty = all.Pretty()
	}
	if line := "devices/a.toml:6:1    att = 1\n"; !strings.Contains(pretty, line) || !strings.Contains(pretty, "^^^\n") {
		t.Errorf("no %q with carets in\n%s", line, pretty)
	}
}
