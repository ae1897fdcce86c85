// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"strings"

	"edged/bridge"
	"edged/bridge/bus"

	"github.com/BurntSushi/toml"
)

// table is a table of TOML on its way out.
type table map[string]any

// put adds a value, unless it is what an absent key means.
func (t table) put(key string, value any, absent bool) {
	if !absent {
		t[key] = value
	}
}

// Show writes the effective configuration as TOML, defaults included, with *** for the hash of a password. References to
// secrets stay.
func (cfg *Config) Show() (string, error) {
	all := table{"gateway": cfg.showGateway(), "broker": cfg.showBroker(), "console": table{"listen": cfg.Console.Listen}}
	if cfg.Uplink != nil {
		all["uplink"] = cfg.showUplink()
	}
	buses := table{}
	for _, b := range cfg.Buses {
		buses[b.Name] = showBus(b)
	}
	all.put("bus", buses, len(buses) == 0)
	devices := table{}
	for _, d := range cfg.Devices {
		devices[d.Name] = showDevice(d)
	}
	all.put("device", devices, len(devices) == 0)
	var b strings.Builder
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(map[string]any(all)); err != nil {
		return "", fmt.Errorf("write the configuration: %w", err)
	}
	return b.String(), nil
}

func (cfg *Config) showGateway() table {
	t := table{}
	t.put("id", cfg.Gateway.ID, cfg.Gateway.ID == "")
	t.put("tags", cfg.Gateway.Tags, len(cfg.Gateway.Tags) == 0)
	return t
}

func (cfg *Config) showBroker() table {
	b, l := cfg.Broker, cfg.Broker.Limits
	tls := table{}
	tls.put("cert", b.TLS.Cert, b.TLS.Cert == "")
	tls.put("key", b.TLS.Key, b.TLS.Key == "")
	tls.put("client_ca", b.TLS.ClientCA, b.TLS.ClientCA == "")
	users := table{}
	for name, u := range b.Users {
		t := table{"publish": orEmpty(u.Publish), "subscribe": orEmpty(u.Subscribe)}
		t.put("password", cfg.userPasswords[name].shown(), u.Password == nil)
		t.put("cert", u.Cert, u.Cert == "")
		t.put("client_ids", u.ClientIDs, u.ClientIDs == nil)
		users[name] = t
	}
	t := table{
		"listen": orEmpty(b.Listen), "anonymous": b.Anonymous, "durability": string(b.Durability),
		"limits": table{
			"clients": l.Clients, "preauth": l.Preauth, "preauth_per_address": l.PreauthPerAddress,
			"connect_timeout": FormatDuration(l.ConnectTimeout), "packet": FormatSize(int64(l.Packet)), "topic_levels": l.TopicLevels,
			"subscriptions_per_client": l.SubscriptionsPerClient, "retained": l.Retained, "retained_bytes": FormatSize(int64(l.RetainedBytes)),
			"memory": FormatSize(l.Memory), "session_expiry": FormatDuration(l.SessionExpiry), "session_queue": FormatSize(l.SessionQueue),
			"journal": FormatSize(l.Journal), "min_free": FormatSize(l.MinFree),
		},
	}
	t.put("tls", tls, len(tls) == 0)
	t.put("ws", table{"origins": b.WS.Origins}, len(b.WS.Origins) == 0)
	t.put("user", users, len(users) == 0)
	return t
}

// shown is a reference to a secret, or *** for what may not be shown.
func (s Secret) shown() string {
	if s.isHash() {
		return hidden
	}
	return s.reference()
}

func (cfg *Config) showUplink() table {
	u := cfg.Uplink
	t := table{
		"url": u.URLs, "version": versions()[u.Version], "cloud": u.Cloud, "client_id": u.ClientID, "keepalive": FormatDuration(u.KeepAlive), "send": orEmpty(u.Send),
		"receive": orEmpty(u.Receive), "prefix": u.Prefix, "qos": int(u.QoS), "inflight": u.Inflight,
		"rate":  table{"messages": u.Rate.Messages, "bytes": u.Rate.Bytes},
		"batch": table{"every": FormatDuration(u.Batch.Every), "messages": u.Batch.Messages, "size": FormatSize(u.Batch.Size)},
		"queue": table{"size": FormatSize(u.QueueSize), "age": FormatDuration(u.QueueAge), "when_full": u.WhenFull, "conflate": orEmpty(u.Conflate), "order": u.Order},
	}
	if u.KeepAuto {
		t["keepalive"] = "auto"
	}
	for key, s := range map[string]string{
		"username": u.Username, "password": cfg.password.shown(), "ca": u.CA, "cert": u.Cert, "key": u.Key,
		"alpn": u.ALPN, "proxy": u.Proxy + cfg.proxy.shown(),
	} {
		t.put(key, s, s == "")
	}
	return t
}

func showBus(b bus.Config) table {
	t := table{"port": b.Port, "rs485": string(b.RS485), "listen": b.Listen}
	t.put("serial", b.Serial, b.Serial == "")
	return t
}

func showDevice(d bridge.Config) table {
	t := table{}
	for key, value := range d.Options {
		t[key] = value
	}
	t["driver"], t["keepalive"], t["retain"], t["disabled"] = d.Driver, FormatDuration(d.KeepAlive), d.Retain, d.Disabled
	t["publish"] = "always"
	switch {
	case d.Publish.Heartbeat > 0:
		t["publish"] = FormatDuration(d.Publish.Heartbeat)
	case d.Publish.OnChange:
		t["publish"] = "on-change"
	}
	t.put("port", d.Port, d.Port == "")
	t.put("bus", d.Bus, d.Bus == "")
	t.put("serial", d.Serial, d.Serial == "")
	t.put("every", FormatDuration(d.Every), d.Every == 0)
	t.put("stale_after", FormatDuration(d.StaleAfter), d.StaleAfter == 0)
	if d.StaleAfter < 0 {
		t["stale_after"] = "never"
	}
	t.put("tags", d.Tags, len(d.Tags) == 0)
	readings := table{}
	for name, r := range d.Readings {
		readings[name] = showReading(r)
	}
	t.put("reading", readings, len(readings) == 0)
	return t
}

func showReading(r bridge.Reading) table {
	t := table{"offset": r.Offset, "deadband": r.Deadband, "skip": r.Skip}
	t.put("unit", r.Unit, r.Unit == "")
	t.put("class", r.Class, r.Class == "")
	t.put("scale", r.Scale, r.Scale == nil)
	t.put("points", r.Points, len(r.Points) == 0)
	t.put("precision", r.Precision, r.Precision == nil)
	t.put("min", r.Min, r.Min == nil)
	t.put("max", r.Max, r.Max == nil)
	t.put("median", r.Median, r.Median == 0)
	t.put("rename", r.Rename, r.Rename == "")
	return t
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
