// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"edged/uplink"
	"edged/uplink/dialect"
	"edged/uplink/reach"
)

// placeholder stands for the gateway's id in client_id, username, send and receive.
const placeholder = "{gateway}"

func uplinkFields(c *uplink.Config, password, proxySecret *Secret) []field {
	return []field{
		{"url", urls(&c.URLs)},
		{"version", version(&c.Version)},
		{"cloud", choice(&c.Cloud, dialect.Names())},
		{"client_id", template(&c.ClientID)},
		{"username", template(&c.Username)},
		{"password", secret(password, false)},
		{"ca", file(&c.CA)},
		{"cert", file(&c.Cert)},
		{"key", file(&c.Key)},
		{"alpn", text(&c.ALPN)},
		{"proxy", proxy(&c.Proxy, proxySecret)},
		{"keepalive", func(v value) {
			if c.KeepAuto = v.node.raw == "auto"; c.KeepAuto {
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
		{"rate", func(v value) { v.table("[uplink.rate]", rateFields(c)) }},
		{"batch", func(v value) { v.table("[uplink.batch]", batchFields(c)) }},
		{"queue", func(v value) { v.table("[uplink.queue]", queueFields(c)) }},
	}
}

func rateFields(c *uplink.Config) []field {
	return []field{
		{"messages", whole(&c.Rate.Messages, 0, math.MaxInt32)},
		{"bytes", whole(&c.Rate.Bytes, 0, math.MaxInt32)},
	}
}

func batchFields(c *uplink.Config) []field {
	return []field{
		{"every", duration(&c.Batch.Every, 0, time.Hour)},
		{"messages", whole(&c.Batch.Messages, 2, 400)},
		{"size", size(&c.Batch.Size, 1<<10, 1<<20)},
	}
}

func queueFields(c *uplink.Config) []field {
	return []field{
		{"size", size(&c.QueueSize, 1<<10, mostDisk)},
		{"age", duration(&c.QueueAge, time.Minute, 100*365*24*time.Hour)},
		{"when_full", choice(&c.WhenFull, []string{"drop-oldest", "reject", "conflate"})},
		{"conflate", templates(&c.Conflate)},
		{"order", choice(&c.Order, []string{"fifo", uplink.LiveFirst})},
	}
}

// versions are those of MQTT by their protocol level.
func versions() map[byte]string { return map[byte]string{4: "3.1.1", 5: "5"} }

func version(to *byte) func(value) {
	return func(v value) {
		if _, ok := v.node.raw.(float64); ok {
			v.wrong("a string", `write "3.1.1" or "5"`)
			return
		}
		var s string
		if choice(&s, []string{"3.1.1", "5"})(v); s == "" {
			return
		}
		for level, name := range versions() {
			if name == s {
				*to = level
			}
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
		strs(to, true, func(item value, s string) {
			_, err := reach.ParseTarget(s)
			item.address(err)
		})(v)
	}
}

// address reports what is wrong with an address of the cloud or of a proxy; nil: nothing.
func (v value) address(err error) {
	var a *reach.AddressError
	if !errors.As(err, &a) {
		return
	}
	code := BadValue
	if a.Secret {
		code = PlainSecret
	}
	v.report(v.node, v.node.value, code, v.key, a.Text, a.Hint)
}

// proxy reads the address of a proxy, or where it is kept if it holds a password.
func proxy(to *string, kept *Secret) func(value) {
	return func(v value) {
		s, ok := v.text()
		switch {
		case !ok:
		case reference(s):
			secret(kept, false)(v)
			text, err := kept.Read()
			var a *reach.AddressError
			if err == nil && errors.As(reach.ParseProxy(string(text)), &a) && !a.Secret {
				v.bad("it refers to what is no address of a proxy", "it must hold http://USER:PASSWORD@HOST:PORT")
			}
		default:
			v.address(reach.ParseProxy(s))
			*to = s
		}
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
	for _, list := range []*[]string{&c.Send, &c.Receive, &c.Conflate} {
		*list = slices.Clone(*list)
		for i, s := range *list {
			(*list)[i] = strings.ReplaceAll(s, placeholder, id)
		}
	}
}
