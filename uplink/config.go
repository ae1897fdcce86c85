// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"fmt"
	"math"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

// Config is what the uplink may be told; [Defaults] gives the rest. "{gateway}" in ClientID, Username, Send and
// Receive has been replaced by the gateway's id before New sees it.
type Config struct {
	URLs      []string               // mqtt://HOST:PORT or mqtts://HOST:PORT, tried in turn
	Version   byte                   // 4 (3.1.1) or 5
	ClientID  string                 // default: the gateway's id
	Username  string                 // "": none
	Password  func() ([]byte, error) // reads the secret anew at each use; nil: none
	CA        string                 // PEM file; "": the system's
	Cert, Key string                 // PEM files of a client certificate; "": none
	KeepAlive time.Duration          // whole seconds
	Send      []string               // local filters that go to the cloud
	Receive   []string               // cloud filters, without Prefix, that come in
	Prefix    string                 // before every topic in the cloud, taken off on the way in
	QoS       byte                   // highest towards the cloud
	Inflight  int                    // messages on their way to the cloud
	QueueSize int64                  // bytes that may wait for the cloud
	WhenFull  string                 // what the broker does beyond: "drop-oldest"
}

// Defaults is the configuration of an [uplink] table that names only its url. Send and Receive hold "{gateway}".
func Defaults() Config {
	return Config{
		Version: 4, ClientID: "{gateway}", KeepAlive: 60 * time.Second,
		Send: []string{"edged/{gateway}/#"}, Receive: []string{"edged/{gateway}/dev/+/set"},
		QoS: 1, Inflight: 100, QueueSize: 256 << 20, WhenFull: "drop-oldest",
	}
}

// The bounds of the configuration's numbers.
const (
	minKeepAlive = 5 * time.Second // less costs more data than it finds dead links sooner: traffic is watched anyway
	minQueue     = 1 << 10
	maxInflight  = math.MaxUint16
	maxText      = math.MaxUint16 // bytes of a text in MQTT
)

// Validate reports every value that cannot be, with its key below [uplink].
func (c Config) Validate(report func(key, problem string)) {
	c.validateURLs(report)
	if c.Version != 4 && c.Version != 5 {
		report("version", `must be "3.1.1" or "5"`)
	}
	if c.ClientID == "" || !plainText(c.ClientID) {
		report("client_id", "must be 1 to 65535 bytes of text without control characters")
	}
	if !plainText(c.Username) {
		report("username", "must be text without control characters, at most 65535 bytes")
	}
	if c.Username == "" && c.Password != nil && c.Version == 4 {
		report("password", "a password needs a username in MQTT 3.1.1")
	}
	if c.KeepAlive < minKeepAlive || c.KeepAlive > math.MaxUint16*time.Second || c.KeepAlive%time.Second != 0 {
		report("keepalive", `must be whole seconds, from "5s" to "65535s"`)
	}
	if c.QoS > 2 {
		report("qos", "must be 0, 1 or 2")
	}
	if c.Inflight < 1 || c.Inflight > maxInflight {
		report("inflight", "must be 1 to 65535")
	}
	if c.QueueSize < minQueue {
		report("queue.size", `must be at least "1KiB"`)
	}
	c.validateTopics(report)
	c.validateFiles(report)
}

func (c Config) validateURLs(report func(key, problem string)) {
	if len(c.URLs) == 0 {
		report("url", `is needed, such as "mqtts://mqtt.example.com:8883"`)
	}
	for i, s := range c.URLs {
		if _, err := parseTarget(s); err != nil {
			report(item("url", i, len(c.URLs) > 1), err.Error())
		}
	}
}

func (c Config) validateTopics(report func(key, problem string)) {
	for i, f := range c.Send {
		if !validFilter(f) {
			report(item("send", i, true), fmt.Sprintf("%q is no topic filter", f))
		}
	}
	for i, f := range c.Receive {
		if !validFilter(f) {
			report(item("receive", i, true), fmt.Sprintf("%q is no topic filter", f))
		}
	}
	if !plainText(c.Prefix) || strings.ContainsAny(c.Prefix, "+#") {
		report("prefix", "must be the beginning of a topic: text without + and #")
	}
	if strings.HasPrefix(c.Prefix, "$share/") {
		report("prefix", "$share/ names a shared subscription, it is not part of a topic")
	}
}

func (c Config) validateFiles(report func(key, problem string)) {
	for _, f := range []struct{ key, path string }{{"ca", c.CA}, {"cert", c.Cert}, {"key", c.Key}} {
		if f.path == "" {
			continue
		}
		if _, err := os.ReadFile(f.path); err != nil {
			report(f.key, "cannot be read: "+err.Error())
		}
	}
	if (c.Cert == "") != (c.Key == "") {
		missing, has := "key", "cert"
		if c.Cert == "" {
			missing, has = has, missing
		}
		report(missing, "is needed besides "+has+": a client certificate is both")
	}
	plain := len(c.URLs) > 0
	for _, s := range c.URLs {
		t, err := parseTarget(s)
		plain = plain && err == nil && !t.tls
	}
	for _, f := range []struct{ key, path string }{{"ca", c.CA}, {"cert", c.Cert}} {
		if plain && f.path != "" {
			report(f.key, "means nothing to mqtt://, which is not encrypted; write mqtts:// in url")
		}
	}
}

func item(key string, i int, list bool) string {
	if !list {
		return key
	}
	return fmt.Sprintf("%s[%d]", key, i)
}

// target is one address of the cloud's broker.
type target struct {
	host string // name or address, without brackets
	port uint16
	tls  bool
}

func (t target) String() string {
	scheme := "mqtt://"
	if t.tls {
		scheme = "mqtts://"
	}
	return scheme + net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

// parseTarget reads mqtt://HOST[:PORT] or mqtts://HOST[:PORT]; the ports are 1883 and 8883 unless given.
func parseTarget(s string) (target, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return target{}, fmt.Errorf("%q is no address of a broker: write mqtts://HOST:PORT", redacted(s))
	}
	t := target{host: u.Hostname(), port: 1883}
	switch u.Scheme {
	case "mqtt":
	case "mqtts":
		t.tls, t.port = true, 8883
	default:
		return target{}, fmt.Errorf("%s:// is not spoken: write mqtts://HOST:PORT, or mqtt://HOST:PORT without encryption", u.Scheme)
	}
	if u.User != nil {
		return target{}, fmt.Errorf("a user or password must not stand in the address: use the keys username and password")
	}
	if (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || t.host == "" {
		return target{}, fmt.Errorf("%q is more than scheme, host and port", s)
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return target{}, fmt.Errorf("port %s is not 1 to 65535", p)
		}
		t.port = uint16(n)
	}
	return t, nil
}

// redacted hides what may be a password in an address that cannot be parsed.
func redacted(s string) string {
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		return "…" + s[i:]
	}
	return s
}
