// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"path/filepath"
	"testing"

	"edged/config"
)

// TestRemoveAllTakesADeviceOutAndNothingElse has a device written in the ways that there are.
func TestRemoveAllTakesADeviceOutAndNothingElse(t *testing.T) {
	const before, after = "# mine\n[gateway]\nid = \"gw\" # here\n", "# the other\n[device.other]\ndriver = \"pms5003\"\nport = \"sim\"\n# end\n"
	for name, text := range map[string]string{
		"plain":             "[device.x]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\n",
		"dotted keys":       "[device.x]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\nreading.t = { unit = \"°C\" }\nreading.h.unit = \"%\"\ntags.room = \"a\"\n",
		"dotted keys first": "[device.x]\nreading.t = { unit = \"°C\" }\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\n",
		"tables below":      "[device.x]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\n\n[device.x.reading.t]\nunit = \"°C\"\n\n[device.x.reading.h]\nunit = \"%\"\n\n[device.x.tags]\nroom = \"a\"\n",
		"both":              "[device.x]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\nreading.t = { unit = \"°C\" }\n\n[device.x.reading.h]\nunit = \"%\"\n",
	} {
		dir := tree(t, map[string]string{"edged.toml": before + "\n" + text + "\n" + after})
		d, err := config.OpenDraftDir(dir, config.DevicesFile)
		if err != nil {
			t.Fatal(err)
		}
		if cfg, err := d.Check(); err != nil || len(cfg.Devices) != 2 {
			t.Fatalf("%s: %v", name, err)
		}
		file, err := d.RemoveAll(config.DeviceTable("x")...)
		if err != nil || file != filepath.Join(dir, "edged.toml") {
			t.Errorf("%s: %q, %v", name, file, err)
			continue
		}
		if cfg, err := d.Check(); err != nil || len(cfg.Devices) != 1 {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.Save(); err != nil {
			t.Fatal(err)
		}
		if got, want := contents(t, file), before+"\n"+after; got != want {
			t.Errorf("%s: the file is\n%s\nwant\n%s", name, got, want)
		}
	}
}

// TestSetWritesWhatTOMLCanSay writes each kind of value and reads it again.
func TestSetWritesWhatTOMLCanSay(t *testing.T) {
	options, err := config.ParseOptions("a = 3\nb = 2.0\nc = true\nd = [1, \"x\", [2.5]]\ne = { unit = \"°C\", points = [[0, 1.5]] }\nf = 1e100\n\"g h\" = 'x\"y'\n")
	if err != nil {
		t.Fatal(err)
	}
	var keys []config.KeyValue
	for _, key := range []string{"a", "b", "c", "d", "e", "f", "g h"} {
		keys = append(keys, config.KeyValue{Key: key, Value: options[key]})
	}
	text, err := config.Block([]string{"device", "x"}, keys...)
	want := "[device.x]\na = 3\nb = 2.0\nc = true\nd = [1, \"x\", [2.5]]\ne = { points = [[0, 1.5]], unit = \"°C\" }\nf = 1e+100\n\"g h\" = \"x\\\"y\"\n"
	if err != nil || text != want {
		t.Errorf("%q, %v, want %q", text, err, want)
	}
}
