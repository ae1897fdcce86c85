// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"edged/uplink/dialect"
	"edged/uplink/reach"
)

// Config is what the uplink may be told; [Defaults] gives the rest. "{gateway}" in ClientID, Username, Send and
// Receive has been replaced by the gateway's id before New sees it.
type Config struct {
	URLs      []string               // as reach.ParseTarget reads them, tried in turn
	Version   byte                   // 4 (3.1.1) or 5
	Cloud     string                 // one of dialect.Names()
	ClientID  string                 // default: the gateway's id
	Username  string                 // "": none
	Password  func() ([]byte, error) // reads the secret anew at each use; nil: none
	CA        string                 // PEM file; "": the system's
	Cert, Key string                 // PEM files of a client certificate; "": none
	ALPN      string                 // what TLS offers to speak; "": nothing
	Proxy     string                 // http://HOST:PORT of an HTTP proxy; "": none, or see ProxySecret
	// ProxySecret reads the address of a proxy with a user and password anew at each use; nil: see Proxy.
	ProxySecret func() ([]byte, error)
	KeepAlive   time.Duration // whole seconds
	KeepAuto    bool          // learn it in each network; KeepAlive means nothing then
	Send        []string      // local filters that go to the cloud
	Receive     []string      // cloud filters, without Prefix, that come in
	Prefix      string        // before every topic in the cloud, taken off on the way in
	QoS         byte          // highest towards the cloud
	Inflight    int           // messages on their way to the cloud
	QueueSize   int64         // bytes that may wait for the cloud
	QueueAge    time.Duration // how long; 0: however long
	WhenFull    string        // what the broker does beyond: "drop-oldest", "reject" or "conflate"
	Conflate    []string      // with "conflate": filters of local topics of which the newest message stays; none: of all
	Order       string        // LiveFirst, or "fifo"
	Rate        Rate
	Batch       Batch
}

// LiveFirst is the order in which what comes while there is a backlog does not wait behind it.
const LiveFirst = "live-first"

// Defaults is the configuration of an [uplink] table that names only its url. Send and Receive hold "{gateway}".
func Defaults() Config {
	return Config{
		Version: 4, Cloud: dialect.Generic, ClientID: "{gateway}", KeepAlive: 60 * time.Second,
		Send: []string{"edged/{gateway}/#"}, Receive: []string{"edged/{gateway}/dev/+/set"},
		QoS: 1, Inflight: 100, QueueSize: 256 << 20, QueueAge: 30 * 24 * time.Hour, WhenFull: "drop-oldest", Conflate: []string{}, Order: "fifo",
		Batch: Batch{Messages: 200, Size: 64 << 10},
	}
}

// The bounds of the configuration's numbers.
const (
	minKeepAlive = 5 * time.Second // less costs more data than it finds dead links sooner: traffic is watched anyway
	minQueue     = 1 << 10
	minAge       = time.Minute
	maxInflight  = math.MaxUint16
	maxText      = math.MaxUint16 // bytes of a text in MQTT
	maxALPN      = 255            // bytes of a protocol's name (RFC 7301, 3.1)
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
	if c.Username == "" && c.Password != nil && c.Version == 4 && c.Cloud != dialect.Azure {
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
	if c.QueueAge != 0 && c.QueueAge < minAge {
		report("queue.age", `must be at least "1m"`)
	}
	if c.Rate.Messages < 0 || c.Rate.Bytes < 0 {
		report("rate", "must not be negative")
	}
	if c.QueueSize < minQueue {
		report("queue.size", `must be at least "1KiB"`)
	}
	if len(c.Conflate) > 0 && c.WhenFull != "conflate" {
		report("queue.conflate", `means nothing without when_full = "conflate"`)
	}
	c.validateBatch(report)
	c.validateTopics(report)
	c.validateFiles(report)
	c.validateCloud(report)
}

func (c Config) validateURLs(report func(key, problem string)) {
	if len(c.URLs) == 0 {
		report("url", `is needed, such as "mqtts://mqtt.example.com:8883"`)
	}
	for i, s := range c.URLs {
		if _, err := reach.ParseTarget(s); err != nil {
			report(item("url", i, len(c.URLs) > 1), err.Error()+secretCode(err))
		}
	}
}

func (c Config) validateTopics(report func(key, problem string)) {
	for i, f := range c.Send {
		if !validFilter(f) {
			report(item("send", i, true), fmt.Sprintf("%q is no topic filter", f))
		}
	}
	for i, f := range c.Conflate {
		if !validFilter(f) {
			report(item("queue.conflate", i, true), fmt.Sprintf("%q is no topic filter", f))
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
	c.validateWay(report)
}

// validateWay reports what has no meaning on the way to the cloud.
func (c Config) validateWay(report func(key, problem string)) {
	plain := len(c.URLs) > 0
	for _, s := range c.URLs {
		t, err := reach.ParseTarget(s)
		plain = plain && err == nil && !t.TLS()
	}
	for _, f := range []struct{ key, text string }{{"ca", c.CA}, {"cert", c.Cert}, {"alpn", c.ALPN}} {
		if plain && f.text != "" {
			report(f.key, "means nothing to mqtt:// and ws://, which are not encrypted; write mqtts:// or wss:// in url")
		}
	}
	if len(c.ALPN) > maxALPN || !plainText(c.ALPN) {
		report("alpn", "must be the name of a protocol, at most 255 bytes")
	}
	if c.Proxy == "" {
		return
	}
	if err := reach.ParseProxy(c.Proxy); err != nil {
		report("proxy", err.Error()+secretCode(err))
	}
}

// secretCode is the code of what stands where a secret must not; "" for any other fault of an address.
func secretCode(err error) string {
	var a *reach.AddressError
	if errors.As(err, &a) && a.Secret {
		return " (E510)"
	}
	return ""
}

func item(key string, i int, list bool) string {
	if !list {
		return key
	}
	return fmt.Sprintf("%s[%d]", key, i)
}
