// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"errors"
	"strings"
	"testing"

	"edged/config"
)

// faults returns what is wrong with text, a line for each.
func faults(t *testing.T, text string) []string {
	t.Helper()
	_, err := config.Parse("e.toml", text)
	if err == nil {
		return nil
	}
	var ps config.Problems
	if !errors.As(err, &ps) || len(ps) == 0 {
		t.Fatalf("%q: error %T %v, want config.Problems", text, err, err)
	}
	var lines []string
	for _, p := range ps {
		lines = append(lines, p.String())
	}
	return lines
}

func compare(t *testing.T, text string, got, want []string) {
	t.Helper()
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("%s\n got:\n%s\nwant:\n%s", text, g, w)
	}
}

type faultCase struct {
	name, text string
	want       []string
}

func runFaults(t *testing.T, cases []faultCase) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { compare(t, c.text, faults(t, c.text), c.want) })
	}
}

func TestPlaces(t *testing.T) {
	runFaults(t, []faultCase{
		{"header", "\n # [x]\n[ gatewya ]\nid = \"a\"\n", []string{
			`e.toml:3:3: gatewya: unknown table; did you mean "gateway"? (E501)`,
		}},
		{"key below a header", "[broker]\n\tlisten = []\n\tanonymus = true\n", []string{
			`e.toml:3:2: broker.anonymus: unknown key; did you mean "anonymous"? (E501)`,
		}},
		{"dotted key", "gateway.id = \"ok\"\nbroker . limits. clints=5\n", []string{
			`e.toml:2:18: broker.limits.clints: unknown key; did you mean "clients"? (E501)`,
		}},
		{"dotted key in the middle", "broker.limts.clients = 5\n", []string{
			`e.toml:1:8: broker.limts: unknown table; did you mean "limits"? (E501)`,
		}},
		{"quoted key", "[broker.\"limits\"]\n\"pac\\u006bett\" = \"1KiB\" # x\n'y y' = 1\n", []string{
			`e.toml:2:1: broker.limits.packett: unknown key; did you mean "packet"? (E501)`,
			`e.toml:3:1: broker.limits."y y": unknown key (E501)`,
		}},
		{"inline table", "gateway = { id = \"Ä\", tags = { a = 1, b = \"x\" }, idd = 2 }\n", []string{
			`e.toml:1:18: gateway.id: "Ä" holds the character 'Ä'; allowed: 1 to 32 of a-z, 0-9 and - (E503)`,
			`e.toml:1:36: gateway.tags.a: must be a string, not an integer (E502)`,
			`e.toml:1:50: gateway.idd: unknown key; did you mean "id"? (E501)`,
		}},
		{"columns count characters", "[gateway]\ntags = { \"ä\" = \"äöü\", b = 1 }\n", []string{
			`e.toml:2:27: gateway.tags.b: must be a string, not an integer (E502)`,
		}},
		{"array over lines", "[broker]\nlisten = [ # ]\n  \"127.0.0.1:1883\", # \"x\"\n  [1], 'y',\n]\nfoo = 1\n", []string{
			`e.toml:4:3: broker.listen[1]: must be a string, not a list (E502)`,
			`e.toml:4:8: broker.listen[2]: "y" is no address: write HOST:PORT, such as "127.0.0.1:1883" (E503)`,
			`e.toml:6:1: broker.foo: unknown key (E501)`,
		}},
		{"multi-line string", "[gateway]\ntags.a = \"\"\"\n[broker]\nfoo = 1\n\"\"\"\ntags.b = '''\n'''''\nbar = 1\n", []string{
			`e.toml:8:1: gateway.bar: unknown key (E501)`,
		}},
		{"carriage returns", "[gateway]\r\nid = 'a'\r\nidx = 1\r\n", []string{
			`e.toml:3:1: gateway.idx: unknown key; did you mean "id"? (E501)`,
		}},
		{"byte order mark", "\ufeffgatway = 1\n", []string{
			`e.toml:1:1: gatway: unknown key; did you mean "gateway"? (E501)`,
		}},
		{"list of tables", "[[device]]\nname = \"a\"\n[[broker]]\n", []string{
			`e.toml:1:3: device: must be a table, not a list of tables; write [device.NAME] for each device (E502)`,
			`e.toml:3:3: broker: must be a table, not a list of tables; write [broker] (E502)`,
		}},
	})
}

func TestSyntaxAndDuplicatesStandAlone(t *testing.T) {
	runFaults(t, []faultCase{
		{"syntax", "[gatewya]\nid = \"x\nlisten = 5\n", []string{`e.toml:2:8: strings cannot contain newlines (E500)`}},
		{"no quotes", "[gateway]\nid = hall\n", []string{`e.toml:2:6: expected value but found "hall" instead; a string needs quotes: "…" (E500)`}},
		{"a secret without quotes", "[uplink]\npassword = hunter2\n", []string{`e.toml:2:12: expected a value; a string needs quotes: "…" (E500)`}},
		{"key twice", "[gateway]\nid = \"a\"\nidx = 1\n \"id\" = \"b\"\n", []string{
			`e.toml:4:2: id: stands here a second time, first in line 2 (E504)`,
		}},
		{"table twice", "[device.a]\n[device.b]\n [device.a] # x\n", []string{
			`e.toml:3:3: device.a: stands here a second time, first in line 1 (E504)`,
		}},
		{"reading as header and inline", "[device.a]\nreading.t = { unit = \"x\" }\n[device.a.reading.t]\n", []string{
			`e.toml:3:2: device.a.reading.t: stands here a second time, first in line 2 (E504)`,
		}},
		{"UTF-16", "\xff\xfeg\x00", []string{"e.toml:1:1: the file is UTF-16; save it as UTF-8 (E500)"}},
	})
}
