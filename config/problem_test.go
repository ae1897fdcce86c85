// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"edged/config"
)

func problems(t *testing.T, name, text string) config.Problems {
	t.Helper()
	_, err := config.Parse(name, text)
	var ps config.Problems
	if !errors.As(err, &ps) {
		t.Fatalf("%q: error %v, want config.Problems", text, err)
	}
	return ps
}

func TestPretty(t *testing.T) {
	const name = "/etc/edged/edged.toml"
	for _, c := range []struct{ name, text, want string }{
		{
			"the contract's example", "[device.office]\nseriel = \"9600 8N1\"\ndriver = \"pms5003\"\nport = \"sim\"\n",
			"edged: unknown key \"seriel\" in [device.office] (E501)\n" +
				"/etc/edged/edged.toml:2:1    seriel = \"9600 8N1\"\n" +
				"                             ^^^^^^  did you mean \"serial\"?\n",
		},
		{
			"indented with tabs", "[gateway]\n\t\tid\t=\t\"A\" # ä\r\n",
			"edged: gateway.id: \"A\" holds the character 'A' (E503)\n" +
				"/etc/edged/edged.toml:2:8    id    =    \"A\" # ä\n" +
				"                                        ^^^  allowed: 1 to 32 of a-z, 0-9 and -\n",
		},
		{
			"at the end of the file", "[broker",
			"edged: expected '.' or ']' to end table name, but got the end of the file instead (E500)\n" +
				"/etc/edged/edged.toml:1:7    [broker\n" +
				"                                   ^\n",
		},
		{
			"a value over several lines", "[broker]\nlisten = \"\"\"a\nb\"\"\"\n",
			"edged: broker.listen: must be a list of strings, not a string (E502)\n" +
				"/etc/edged/edged.toml:2:10    listen = \"\"\"a\n" +
				"                                       ^^^^  such as [\"a\\nb\"]\n",
		},
		{"control characters of a terminal", "[gateway]\nid = \"a\" # \u009b2J \u202e\nx\u00ad = 1\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := problems(t, name, c.text).Pretty()
			if c.want != "" && got != c.want {
				t.Errorf("%q\n got:\n%s\nwant:\n%s", c.text, got, c.want)
			}
			if strings.ContainsAny(got, "\x1b\u009b\u202e\t\r") {
				t.Errorf("%q: %q holds control characters", c.text, got)
			}
		})
	}
}

func TestNoMessageShowsASecret(t *testing.T) {
	for _, text := range []string{
		"[uplink]\npassword = \"hunter2\"\n",
		"[uplink]\npassword = \"hunter2\nx\"\n",
		"[uplink]\npassword = hunter2\n",
		"[uplink]\n\"password\" = 'hunter2' x\n",
		"[uplink]\npassword = \"\"\"hunter2\n\"\"\"\n",
		"[uplink]\npasword = \"hunter2\"\n",
		"[uplink]\nPassword = \"hunter2\"\n",
		"[uplink]\npaswd = \"hunter2\"\n",
		"[uplink]\npassphrase = \"hunter2\"\n",
		"uplink = { url = \"x\", password = \"hunter2\", foo = 1 }\n",
		"uplink = { url = \"mqtt://me:hunter2@a\", foo = 1 }\n",
		"[uplink]\nurl = [\"mqtt://me:hunter2@a\"]\nfoo = 1\n",
		"[uplink]\nurl = \"mqtt://me:hunter2@a b:c\"\nfoo = 1\n",
		"[uplink]\nurl = \"mqtt://me:hunter2@a\nfoo = 1\n",
		"[broker.user.x]\npassword = \"hunter2\"\n",
		"broker.user.x.password = \"hunter2\"\n",
		"broker.user = { x = { password = \"hunter2\" } }\n",
		"[uplink]\nurl = \"mqtt://a\"\npassword = [\"hunter2\"]\n",
		"[uplink]\nurl = \"mqtt://a\"\npassword = { x = \"hunter2\" }\n",
		"[uplink]\npassword = \"hunter2\"\npassword = \"hunter2\"\n",
	} {
		ps := problems(t, "e.toml", text)
		if all := ps.Error() + ps.Pretty(); strings.Contains(all, "hunter2") {
			t.Errorf("%q: the secret is shown:\n%s", text, all)
		}
		for _, p := range ps {
			if strings.Contains(p.Source, "hunter2") {
				t.Errorf("%q: the secret is in Source: %q", text, p.Source)
			}
		}
	}
}

func TestCodesAreExplained(t *testing.T) {
	seen := map[string]bool{}
	for i, c := range config.Codes() {
		if !regexp.MustCompile(`^E5\d\d$`).MatchString(c.ID) || c.Meaning == "" || c.Do == "" || seen[c.ID] {
			t.Errorf("entry %d is not whole or stands twice: %+v", i, c)
		}
		seen[c.ID] = true
	}
	if !slices.IsSortedFunc(config.Codes(), func(a, b config.Code) int { return strings.Compare(a.ID, b.ID) }) {
		t.Error("the codes are not in order")
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"", "[gateway]\nid = 5\n", "[uplink]\nurl = [\"mqtt://a\", 3]\nqueue = { size = \"1KiB\" }\n", "device = { a = { driver = \"line\", format = \"json\" } }\n",
		"[device.a]\ndriver = \"pms5003\"\nport = \"sim\"\nreading = { pm25 = { points = [[0, 1], [2, 3]] } }\n", "[broker]\nlisten = [[\"a\"]]\nlimits.packet = \"1KiB\"\n",
		"[device.a.reading.x]\nrename = \"y\"\n[device.a]\ndriver = \"line\"\n", "[[uplink]]\n[[device.a]]\nx = 1\n",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		cfg, err := config.Parse("e.toml", text)
		if err == nil {
			if len(cfg.Hash) != 12 {
				t.Errorf("%q: hash %q", text, cfg.Hash)
			}
			return
		}
		lines := strings.Count(text, "\n") + 1
		for _, p := range err.(config.Problems) {
			if p.Line < 1 || p.Line > lines || p.Column < 1 || p.Column > len(text)+1 || p.Code == "" || p.Text == "" {
				t.Errorf("%q: problem %+v", text, p)
			}
			if strings.ContainsRune(p.Pretty(), '\x1b') {
				t.Errorf("%q: an escape reaches the terminal: %q", text, p.Pretty())
			}
		}
	})
}
