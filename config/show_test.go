// SPDX-License-Identifier: Apache-2.0

package config

import (
	"strings"
	"testing"
)

// What is shown is the same configuration, in a file that has every key.
func TestShowIsTheSameConfiguration(t *testing.T) {
	const hash = "$argon2id$v=19$m=12288,t=3,p=1$c2FsdHNhbHRzYWx0c2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g"
	all := elsewhere(t, uncommented(t)) + "[broker.user.\"a.b\"]\npassword = \"" + hash + "\"\n" +
		"[device.b]\ndriver = \"line\"\nport = \"sim\"\nformat = \"json\"\nstale_after = \"never\"\npublish = \"on-change\"\n[device.c]\ndriver = \"pms5003\"\nport = \"/dev/x\"\npublish = \"5m\"\n"
	for name, text := range map[string]string{"nothing": "", "everything": all} {
		cfg, err := Parse("e.toml", text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		shown, err := cfg.Show()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if strings.Contains(shown, "$argon2id$") {
			t.Errorf("a hash is shown:\n%s", shown)
		}
		again, err := Parse("shown.toml", strings.ReplaceAll(shown, hidden, hash))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, shown)
		}
		if again.Hash != cfg.Hash {
			t.Errorf("%s: the hash is %s, was %s; shown is\n%s", name, again.Hash, cfg.Hash, shown)
		}
		src, p := parse("shown.toml", 0, shown)
		if p != nil {
			t.Fatal(p)
		}
		if name == "everything" {
			holdsEveryKey(t, "what is shown", src)
		}
	}
}
