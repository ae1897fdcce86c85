// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"edged/config"
)

func TestLastGoodConfigurationOutlivesSpoiltFiles(t *testing.T) {
	dir, state := t.TempDir(), t.TempDir()
	if _, err := config.LoadGood(state); !errors.Is(err, config.ErrNoGood) {
		t.Fatalf("a gateway that never ran has a last good configuration: %v", err)
	}
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("edged.toml", "[gateway]\nid = \"hall-3\"\n")
	write("conf.d/a.toml", "[device.air]\ndriver = \"pms5003\"\nport = \"sim\"\n")
	cfg, err := config.LoadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.KeepGood(state); err != nil {
		t.Fatal(err)
	}
	write("edged.toml", "[gateway\n")
	if _, err := config.LoadDir(dir); err == nil {
		t.Fatal("a spoilt file is taken")
	}
	good, err := config.LoadGood(state)
	if err != nil {
		t.Fatal(err)
	}
	if good.Gateway.ID != "hall-3" || len(good.Devices) != 1 || good.Hash != cfg.Hash {
		t.Errorf("got %+v, want what was kept", good)
	}
}

func TestKeepGoodWritesOnlyWhatChanged(t *testing.T) {
	state := t.TempDir()
	cfg, err := config.Parse("edged.toml", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.KeepGood(state); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(state, "good-config.json")
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := cfg.KeepGood(state); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(before, after) {
		t.Error("the same configuration was written twice")
	}
}

func TestDamagedLastGoodConfigurationIsAnError(t *testing.T) {
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "good-config.json"), []byte(`[{"name":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := config.LoadGood(state); err == nil || errors.Is(err, config.ErrNoGood) {
		t.Errorf("got %v, want an error that tells of the damage", err)
	}
}
