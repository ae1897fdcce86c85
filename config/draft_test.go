// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"edged/config"
)

const (
	usersHome = "conf.d/users.toml"
	tableX    = "[broker.user.x]\npassword = \"" + argon + "\"\n"
)

func contents(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestDraft(t *testing.T) {
	x, y := []string{"broker", "user", "x"}, []string{"broker", "user", "y"}
	dir := tree(t, map[string]string{"edged.toml": "\ufeff# mine\n" + tableX + "# end\n"})
	main := filepath.Join(dir, "edged.toml")
	if err := os.Chmod(main, 0o604); err != nil {
		t.Fatal(err)
	}
	d, err := config.OpenDraftDir(dir, usersHome)
	if err != nil {
		t.Fatal(err)
	}
	if file, ok := d.Find(x...); file != main || !ok {
		t.Errorf("Find(x) = %q, %v", file, ok)
	}
	if _, ok := d.Find(y...); ok {
		t.Error("Find(y) finds what is not there")
	}
	if file, err := d.Set(x, config.KeyValue{Key: "publish", Value: []string{"a/#"}}); file != main || err != nil {
		t.Errorf("Set(x) = %q, %v", file, err)
	}
	home := filepath.Join(dir, usersHome)
	if file, err := d.Set(y, config.KeyValue{Key: "cert", Value: "CN=y"}); file != home || err != nil {
		t.Errorf("Set(y) = %q, %v", file, err)
	}
	cfg, err := d.Check()
	if err != nil || len(cfg.Broker.Users) != 2 {
		t.Fatalf("Check = %+v, %v", cfg, err)
	}
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	if got, want := contents(t, main), "\ufeff# mine\n"+tableX+"publish = [\"a/#\"]\n# end\n"; got != want {
		t.Errorf("edged.toml is\n%q, want\n%q", got, want)
	}
	if got, want := contents(t, home), "[broker.user.y]\ncert = \"CN=y\"\n"; got != want {
		t.Errorf("users.toml is %q, want %q", got, want)
	}
	for name, forbidden := range map[string]os.FileMode{main: 0o073, home: 0o037} {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm()&forbidden != 0 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(main); err != nil || info.Mode().Perm() != 0o604 {
		t.Errorf("the mode of edged.toml was not kept: %v, %v", info.Mode(), err)
	}
	if file, err := d.Remove(y...); file != home || err != nil {
		t.Errorf("Remove(y) = %q, %v", file, err)
	}
	if err := d.Save(); err != nil || contents(t, home) != "" {
		t.Errorf("after Remove: %v, %q", err, contents(t, home))
	}
}

func TestDraftOfAFaultyConfigurationCanBeMended(t *testing.T) {
	dir := tree(t, map[string]string{"edged.toml": "[broker]\nlisten = [\"0.0.0.0:1883\"]\n[broker.user.x]\n"})
	d, err := config.OpenDraftDir(dir, usersHome)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(); err == nil {
		t.Error("a user without a password is no fault")
	}
	if _, err := d.Set([]string{"broker", "user", "x"}, config.KeyValue{Key: "password", Value: argon}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Check(); err != nil && strings.Contains(err.Error(), "password") {
		t.Errorf("the user is still without a password: %v", err)
	}
}

func TestDraftThatSomebodyElseChanged(t *testing.T) {
	for _, before := range []map[string]string{nil, {usersHome: "# a\n"}} {
		dir := tree(t, before)
		home := filepath.Join(dir, usersHome)
		d, err := config.OpenDraftDir(dir, usersHome)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Set([]string{"broker", "user", "x"}, config.KeyValue{Key: "cert", Value: "CN=x"}); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(home), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(home, []byte("# b\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := d.Save(); !errors.Is(err, config.ErrChanged) {
			t.Errorf("Save = %v, want ErrChanged", err)
		}
		if got := contents(t, home); got != "# b\n" {
			t.Errorf("the other's change is gone: %q", got)
		}
	}
}

func TestDraftKeepsALink(t *testing.T) {
	dir := tree(t, map[string]string{"real.toml": tableX})
	link := filepath.Join(dir, "edged.toml")
	if err := os.Symlink("real.toml", link); err != nil {
		t.Fatal(err)
	}
	d, err := config.OpenDraft(link, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Remove("broker", "user", "x"); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(); err != nil {
		t.Fatal(err)
	}
	if got := contents(t, filepath.Join(dir, "real.toml")); got != "" {
		t.Errorf("the file behind the link is %q", got)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
}

func TestDraftThatIsNoTOML(t *testing.T) {
	dir := tree(t, map[string]string{"edged.toml": "[broker\n", "conf.d/a.toml": "x\n"})
	var ps config.Problems
	if _, err := config.OpenDraftDir(dir, usersHome); !errors.As(err, &ps) || len(ps) != 2 {
		t.Errorf("OpenDraftDir = %v, want two problems", err)
	}
}
