// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"reflect"
	"strings"
	"testing"

	"edged/config"
)

const argon = "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$aGFzaA"

func TestUsers(t *testing.T) {
	file := secretFile(t, 0o640, "geheim\n")
	cfg, err := config.Parse("e.toml", `
[broker]
listen = ["127.0.0.1:1883", "ws://[::1]:8083/mqtt", "unix:///run/edged/mqtt.sock"]
durability = "link"
[broker.ws]
origins = ["https://panel.example.com", "http://10.0.0.5:8080"]
[broker.limits]
memory = "128MiB"
[broker.user.nodered]
password = "file:`+file+`"
client_ids = ["nodered", "n-*"]
publish = ["edged/+/dev/+/set"]
subscribe = ["edged/#"]
[broker.user."a.B@c-d_9"]
password = "`+argon+`"
[broker.user.old]
password = "$7$101$c2FsdA==$aGFzaA=="
cert = "CN=old"
`)
	if err != nil {
		t.Fatal(err)
	}
	b := cfg.Broker
	if b.Anonymous || b.Durability != "link" || b.Limits.Memory != 128<<20 || len(b.WS.Origins) != 2 || len(b.Listen) != 3 {
		t.Errorf("[broker] is %+v", b)
	}
	u := b.Users["nodered"]
	if !reflect.DeepEqual([][]string{u.ClientIDs, u.Publish, u.Subscribe}, [][]string{{"nodered", "n-*"}, {"edged/+/dev/+/set"}, {"edged/#"}}) {
		t.Errorf("nodered is %+v", u)
	}
	for name, want := range map[string]string{"nodered": "geheim", "a.B@c-d_9": argon, "old": "$7$101$c2FsdA==$aGFzaA=="} {
		if got, err := b.Users[name].Password(); err != nil || string(got) != want {
			t.Errorf("the password of %s is %q, %v, want %q", name, got, err, want)
		}
	}
	if u := b.Users["old"]; u.Cert != "CN=old" || u.ClientIDs != nil {
		t.Errorf("old is %+v", u)
	}
}

func TestFaultyUsers(t *testing.T) {
	open := secretFile(t, 0o644, "geheim\n")
	runFaults(t, []faultCase{
		{"letters of names", "[broker.user.\"a b\"]\ncert = \"CN=x\"\n[broker.user.\"jörg\"]\ncert = \"CN=x\"\n[broker.user.\"\"]\ncert = \"CN=x\"\n[broker.user." + strings.Repeat("x", 65) + "]\ncert = \"CN=x\"\n", []string{
			`e.toml:1:14: broker.user."a b": "a b" holds the character ' '; allowed: 1 to 64 of A-Z, a-z, 0-9 and _ . @ - (E503)`,
			`e.toml:3:14: broker.user."jörg": "jörg" holds the character 'ö'; allowed: 1 to 64 of A-Z, a-z, 0-9 and _ . @ - (E503)`,
			`e.toml:5:14: broker.user."": is empty; allowed: 1 to 64 of A-Z, a-z, 0-9 and _ . @ - (E503)`,
			`e.toml:7:14: broker.user.` + strings.Repeat("x", 65) + `: "` + strings.Repeat("x", 65) + `" has 65 characters; allowed: 1 to 64 of A-Z, a-z, 0-9 and _ . @ - (E503)`,
		}},
		{"a plain password", "[broker.user.x]\npassword = \"geheim\"\n", []string{
			`e.toml:2:12: broker.user.x.password: a secret must not stand in the configuration; write "file:/etc/edged/secrets/NAME", "env:NAME" or "cred:NAME", or have the hash written by: edged user passwd NAME (E510)`,
		}},
		{"a hash of another kind", "[broker.user.x]\npassword = \"$2y$10$abc\"\n", []string{
			`e.toml:2:12: broker.user.x.password: a secret must not stand in the configuration; write "file:/etc/edged/secrets/NAME", "env:NAME" or "cred:NAME", or have the hash written by: edged user passwd NAME (E510)`,
		}},
		{"a secret that everybody can read", "[broker.user.x]\npassword = \"file:" + open + "\"\n", []string{
			`e.toml:2:12: broker.user.x.password: every user of this machine may use ` + open + ` (mode 0644): chmod o= ` + open + ` (E509)`,
		}},
		{"no secret there", "[broker.user.x]\npassword = \"env:EDGED_TEST_NOT_SET\"\n", []string{
			`e.toml:2:12: broker.user.x.password: the environment variable EDGED_TEST_NOT_SET is not set (E509)`,
		}},
		{"no way to log in", "[broker.user.x]\npublish = [\"a\"]\n[broker.user.y]\npasswort = \"env:HOME\"\n", []string{
			`e.toml:1:14: broker.user.x.password: nobody can log in without a password or a cert; give it one: edged user passwd x (E506)`,
			`e.toml:4:1: broker.user.y.passwort: unknown key; did you mean "password"? (E501)`,
		}},
		{"no client identifier", "[broker.user.x]\ncert = \"CN=x\"\nclient_ids = []\n", []string{
			`e.toml:3:14: broker.user.x.client_ids: is empty, so that no client can use it; leave it out for the user's name and NAME-* (E503)`,
		}},
		{"what the broker says of names with dots", "[broker.user.\"a.b@c\"]\ncert = \"plc\"\nclient_ids = [\"*\", \"a*b\", \"edged-x\"]\npublish = [\"a/{user}/#\", \"a/x{client_id}\"]\nsubscribe = [\"a#\"]\n", []string{
			`e.toml:2:8: broker.user."a.b@c".cert: "plc" is no subject: write NAME=VALUE, such as "CN=plc-7" (E503)`,
			`e.toml:3:20: broker.user."a.b@c".client_ids[1]: "a*b": * may stand at the end only (E503)`,
			`e.toml:3:27: broker.user."a.b@c".client_ids[2]: "edged-x": client identifiers that begin with edged- are the gateway's own (E503)`,
			`e.toml:4:26: broker.user."a.b@c".publish[1]: "a/x{client_id}": "x{client_id}" is no whole level: write {client_id} or {user} between slashes, with nothing beside it (E503)`,
			`e.toml:5:14: broker.user."a.b@c".subscribe[0]: "a#" is no topic filter: + and # fill a whole level, and # is the last (E503)`,
		}},
		{"misspelt keys", "[broker.user.x]\ncert = \"CN=x\"\npublsh = [\"a\"]\nclientids = [\"x\"]\n[broker.tls]\nclientca = \"/x\"\n[broker.ws]\norigin = []\n", []string{
			`e.toml:3:1: broker.user.x.publsh: unknown key; did you mean "publish"? (E501)`,
			`e.toml:4:1: broker.user.x.clientids: unknown key; did you mean "client_ids"? (E501)`,
			`e.toml:6:1: broker.tls.clientca: unknown key; did you mean "client_ca"? (E501)`,
			`e.toml:8:1: broker.ws.origin: unknown key; did you mean "origins"? (E501)`,
		}},
		{"types", "[broker]\nuser = 5\n[broker.tls]\ncert = \"tls/cert.pem\"\n[broker.limits]\nmemory = 5\n", []string{
			`e.toml:2:8: broker.user: must be a table, not an integer; write [broker.user.NAME] for each user (E502)`,
			`e.toml:4:8: broker.tls.cert: "tls/cert.pem" is not an absolute path; begin it with / (E503)`,
			`e.toml:6:10: broker.limits.memory: must be a size such as "64MiB", not an integer (E502)`,
		}},
		{"a user that is no table", "[broker.user]\nx = \"env:HOME\"\n", []string{
			`e.toml:2:5: broker.user.x: must be a table, not a string; write [broker.user.NAME] for each user (E502)`,
		}},
		{"origins", "[broker.ws]\norigins = [\"panel.example.com\", \"https://a/\", \"*\", \"ftp://a\"]\n", []string{
			`e.toml:2:12: broker.ws.origins[0]: "panel.example.com" is no origin; write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080" (E503)`,
			`e.toml:2:33: broker.ws.origins[1]: "https://a/" is no origin; write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080" (E503)`,
			`e.toml:2:47: broker.ws.origins[2]: "*" is no origin; write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080" (E503)`,
			`e.toml:2:52: broker.ws.origins[3]: "ftp://a" is no origin; write it as a browser sends it, such as "https://panel.example.com" or "http://10.0.0.5:8080" (E503)`,
		}},
	})
}

func TestAnonymousByDefault(t *testing.T) {
	const user = "[broker.user.x]\npassword = \"" + argon + "\"\n"
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"nothing", "", true},
		{"loopback and unix", "[broker]\nlisten = [\"127.0.0.1:1883\", \"ws://[::1]:8883\", \"localhost:80\", \"unix:///run/x.sock\"]\n", true},
		{"no listener", "[broker]\nlisten = []\n", true},
		{"a user", user, false},
		{"a user, and asked for", "[broker]\nanonymous = true\n" + user, true},
		{"the network, and a user", "[broker]\nlisten = [\"0.0.0.0:1883\"]\n" + user, false},
		{"asked for", "[broker]\nanonymous = false\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := config.Parse("e.toml", c.text)
			if err != nil {
				t.Fatal(err)
			}
			if cfg.Broker.Anonymous != c.want {
				t.Errorf("%s\nanonymous is %v, want %v", c.text, cfg.Broker.Anonymous, c.want)
			}
		})
	}
}

func TestHashKnowsUsersWithoutTheirPasswords(t *testing.T) {
	hash := func(text string) string {
		t.Helper()
		cfg, err := config.Parse("e.toml", text)
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Hash
	}
	t.Setenv("EDGED_TEST_SECRET", "x")
	const user = "[broker.user.x]\npassword = \"" + argon + "\"\n"
	if hash(user) != hash(strings.Replace(user, "c2FsdHNhbHQ", "c2FsdHNhbHR", 1)) {
		t.Error("the password changes the hash")
	}
	for _, other := range []string{
		"", strings.Replace(user, ".x]", ".y]", 1), user + "publish = [\"a\"]\n", user + "cert = \"CN=x\"\n",
		"[broker.user.x]\npassword = \"env:EDGED_TEST_SECRET\"\n", "[broker.tls]\ncert = \"/x\"\n" + user,
	} {
		if hash(other) == hash(user) {
			t.Errorf("the same hash for\n%s\nand\n%s", user, other)
		}
	}
}
