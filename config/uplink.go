// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"edged/uplink"
)

// placeholder stands for the gateway's id in client_id, username, send and receive.
const placeholder = "{gateway}"

func uplinkFields(c *uplink.Config, password *Secret) []field {
	return []field{
		{"url", urls(&c.URLs)},
		{"version", version(&c.Version)},
		{"cloud", nil},
		{"client_id", template(&c.ClientID)},
		{"username", template(&c.Username)},
		{"password", secret(password, false)},
		{"ca", file(&c.CA)},
		{"cert", file(&c.Cert)},
		{"key", file(&c.Key)},
		{"alpn", nil},
		{"proxy", nil},
		{"keepalive", func(v value) {
			if v.node.raw == "auto" {
				v.notYet(v.node.value, `"auto"`, `write a duration such as "60s"`)
				return
			}
			seconds(&c.KeepAlive)(v)
		}},
		{"send", templates(&c.Send)},
		{"receive", templates(&c.Receive)},
		{"prefix", func(v value) {
			s, ok := v.text()
			switch {
			case !ok:
			case strings.Contains(s, placeholder):
				v.bad(placeholder+" is not replaced in a prefix", "write the gateway's id")
			default:
				c.Prefix = s
			}
		}},
		{"qos", whole(&c.QoS, 0, 2)},
		{"inflight", whole(&c.Inflight, 1, 65535)},
		{"rate", nil},
		{"queue", func(v value) { v.table("[uplink.queue]", queueFields(c)) }},
	}
}

func queueFields(c *uplink.Config) []field {
	return []field{
		{"size", size(&c.QueueSize, 1<<10, mostDisk)},
		{"age", nil},
		{"when_full", choice(&c.WhenFull, []string{"drop-oldest"}, "reject", "conflate")},
		{"order", nil},
	}
}

func version(to *byte) func(value) {
	return func(v value) {
		if _, ok := v.node.raw.(float64); ok {
			v.wrong("a string", `write "3.1.1" or "5"`)
			return
		}
		var s string
		if choice(&s, []string{"3.1.1", "5"})(v); s != "" {
			*to = map[string]byte{"3.1.1": 4, "5": 5}[s]
		}
	}
}

// urls reads the addresses of the cloud's broker.
func urls(to *[]string) func(value) {
	return func(v value) {
		if v.node.kind == list && len(v.node.items) == 0 {
			v.bad("holds no address", `such as "mqtts://mqtt.example.com:8883"`)
			return
		}
		strs(to, true, value.cloud)(v)
	}
}

// cloud checks one address of a cloud's broker.
func (v value) cloud(s string) {
	const hint = `write mqtts://HOST:PORT, or mqtt://HOST:PORT without encryption`
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Scheme == "" || u.Host == "" && u.Opaque != "":
		if strings.Contains(s, "@") {
			s = "this"
		}
		v.bad(fmt.Sprintf("%q is no address of a broker", s), hint)
	case u.User != nil:
		v.report(v.node, v.node.value, PlainSecret, v.key, "a user or password must not stand in the address",
			`use the keys username and password = "file:/etc/edged/secrets/cloud"`)
	case slices.Contains([]string{"ws", "wss", "mqtt+srv", "mqtts+srv"}, u.Scheme):
		v.notYet(v.node.value, fmt.Sprintf("%q", u.Scheme+"://"), hint)
	case u.Scheme != "mqtt" && u.Scheme != "mqtts":
		v.bad(fmt.Sprintf("%q is not known", u.Scheme+"://"), hint)
	}
}

func template(to *string) func(value) {
	return func(v value) {
		if s, ok := v.text(); ok && v.placeholders(s) {
			*to = s
		}
	}
}

func templates(to *[]string) func(value) {
	return strs(to, false, func(item value, s string) { item.placeholders(s) })
}

// placeholders reports what looks like a placeholder and is none.
func (v value) placeholders(s string) bool {
	for _, name := range regexp.MustCompile(`\{[^{}/]*\}`).FindAllString(s, -1) {
		if name != placeholder {
			v.bad(name+" is no placeholder", "only "+placeholder+" is replaced")
			return false
		}
	}
	return true
}

// expand puts the gateway's id in the place of its placeholder.
func expand(c *uplink.Config, id string) {
	for _, s := range []*string{&c.ClientID, &c.Username} {
		*s = strings.ReplaceAll(*s, placeholder, id)
	}
	for _, list := range []*[]string{&c.Send, &c.Receive} {
		*list = slices.Clone(*list)
		for i, s := range *list {
			(*list)[i] = strings.ReplaceAll(s, placeholder, id)
		}
	}
}
