// SPDX-License-Identifier: Apache-2.0

package dialect_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/uplink/dialect"
)

func settings() *dialect.Settings {
	return &dialect.Settings{
		Gateway: "gw", Version: 4, QoS: 1, ClientID: "gw", Username: "u", HasPassword: true, KeepAlive: time.Minute, Inflight: 100,
		Send: []string{"edged/gw/#"}, Receive: []string{"edged/gw/dev/+/set"},
		Servers: []dialect.Server{{Host: "h.example.com", Port: 8883, Encrypted: true}},
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		cloud  string
		name   string
		change func(*dialect.Settings)
		want   []string // keys
	}{
		{"generic", "anything", func(s *dialect.Settings) { s.QoS, s.Servers[0].Encrypted = 2, false }, nil},
		{"aws", "as it should be", func(s *dialect.Settings) { s.HasCert = true }, nil},
		{"aws", "no certificate", func(*dialect.Settings) {}, []string{"cert"}},
		{"aws", "port 443", func(s *dialect.Settings) { s.Servers[0].Port = 443 }, []string{"alpn"}},
		{"aws", "port 443 with ALPN", func(s *dialect.Settings) { s.Servers[0].Port, s.ALPN = 443, "x-amzn-mqtt-ca" }, nil},
		{"aws", "all limits", func(s *dialect.Settings) {
			s.HasCert, s.QoS, s.ClientID, s.KeepAlive, s.Inflight = true, 2, strings.Repeat("x", 129), 1201*time.Second, 101
			s.Servers[0].Encrypted = false
			s.Send = []string{"a/b/c/d/e/f/g/h/#", strings.Repeat("x", 257)}
			s.Receive = slices.Repeat([]string{"a"}, 51)
		}, []string{"qos", "client_id", "keepalive", "inflight", "receive", "url", "send[0]", "send[1]"}},
		{"aws", "a prefix counts", func(s *dialect.Settings) { s.HasCert, s.Prefix = true, "a/b/c/d/" }, []string{"receive[0]"}},
		{"azure", "as it should be", func(s *dialect.Settings) { s.Username = "" }, nil},
		{"azure", "the user as it is spelt", func(s *dialect.Settings) { s.Username = "h.example.com/gw/?api-version=2020-09-30" }, nil},
		{"azure", "another user", func(*dialect.Settings) {}, []string{"username"}},
		{"azure", "all limits", func(s *dialect.Settings) {
			s.Username, s.Version, s.QoS, s.ClientID, s.KeepAlive, s.Prefix, s.HasPassword = "", 5, 2, "a/b", 1768*time.Second, "p/", false
		}, []string{"version", "qos", "keepalive", "prefix", "client_id", "password"}},
		{"hivemq", "a broker of one's own", func(s *dialect.Settings) { s.QoS, s.Servers[0].Encrypted, s.Username = 2, false, "" }, nil},
		{"hivemq", "the cloud", func(s *dialect.Settings) {
			s.Servers[0] = dialect.Server{Host: "abc.s1.eu.hivemq.cloud", Port: 1883}
			s.Username, s.HasPassword = "", false
		}, []string{"url", "username"}},
		{"thingsboard", "as it should be", func(s *dialect.Settings) { s.HasPassword = false }, nil},
		{"thingsboard", "all limits", func(s *dialect.Settings) {
			s.QoS, s.Prefix, s.Username = 2, "p/", ""
			s.Send, s.Receive = []string{"plc/#"}, []string{"plc/set"}
		}, []string{"qos", "prefix", "username", "send[0]", "receive[0]"}},
	} {
		s := settings()
		c.change(s)
		var got []string
		dialect.For(c.cloud).Validate(s, func(key, problem string) {
			got = append(got, key)
			if problem == "" {
				t.Errorf("%s, %s: %s without a reason", c.cloud, c.name, key)
			}
		})
		if !slices.Equal(got, c.want) {
			t.Errorf("%s, %s: faults at %q, want %q", c.cloud, c.name, got, c.want)
		}
	}
	if dialect.For("aliens") != nil {
		t.Error("a dialect that nobody speaks")
	}
}

func TestSpelling(t *testing.T) {
	for _, c := range []struct {
		cloud, topic, payload string
		want                  string // "": there is no place for it
	}{
		{"azure", "edged/gw/dev/a/data", `{"t":1}`, `devices/gw/messages/events/topic=edged%2Fgw%2Fdev%2Fa%2Fdata&%24.ct=application%2Fjson&%24.ce=utf-8 {"t":1}`},
		{"azure", "edged/gw/status", "offline", "devices/gw/messages/events/topic=edged%2Fgw%2Fstatus offline"},
		{"thingsboard", "edged/gw/dev/a/data", `{"time":"2026-11-22T14:05:09.412Z","seq":7,"t":21.40}`, `v1/gateway/telemetry {"a":[{"ts":1795356309412,"values":{"seq":7,"t":21.40}}]}`},
		{"thingsboard", "edged/gw/dev/a/data", `{"time":"1970-01-01T00:00:09Z","clock":"unsynced","uptime_ms":5,"seq":7}`, `v1/gateway/telemetry {"a":[{"values":{"seq":7}}]}`},
		{"thingsboard", "edged/gw/dev/a/data", `no JSON`, ""},
		{"thingsboard", "edged/gw/dev/a/status", "online", `v1/gateway/connect {"device":"a"}`},
		{"thingsboard", "edged/gw/dev/a/status", "offline", `v1/gateway/disconnect {"device":"a"}`},
		{"thingsboard", "edged/gw/dev/a/meta", `{"x":1}`, `v1/gateway/attributes {"a":{"meta":{"x":1}}}`},
		{"thingsboard", "edged/gw/dev/a/health", `{"x":1}`, `v1/gateway/attributes {"a":{"health":{"x":1}}}`},
		{"thingsboard", "edged/gw/dev/a/result", `{"id":"rpc-7-99","ok":true}`, `v1/gateway/rpc {"data":{"id":"rpc-7-99","ok":true},"device":"a","id":7}`},
		{"thingsboard", "edged/gw/dev/a/result", `{"id":"mine","ok":true}`, ""},
		{"thingsboard", "edged/gw/health", `{"x":1}`, `v1/devices/me/telemetry {"x":1}`},
		{"thingsboard", "edged/gw/event", `{"code":"E120"}`, `v1/devices/me/telemetry {"event":{"code":"E120"}}`},
		{"thingsboard", "edged/gw/info", `{"x":1}`, `v1/devices/me/attributes {"x":1}`},
		{"thingsboard", "edged/gw/status", "offline", `v1/devices/me/attributes {"status":"offline"}`},
		{"thingsboard", "plc/1", "{}", ""},
	} {
		m, ok := dialect.For(c.cloud).Out(settings(), dialect.Message{Topic: c.topic, Payload: []byte(c.payload)})
		got := m.Topic + " " + string(m.Payload)
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s: %s %s is\n%s, want\n%s", c.cloud, c.topic, c.payload, got, c.want)
		}
	}
}

func TestCommandsAsTheCloudSpellsThem(t *testing.T) {
	for _, c := range []struct{ cloud, topic, payload, want string }{
		{"azure", "devices/gw/messages/devicebound/%24.mid=1&topic=edged%2Fgw%2Fdev%2Fa%2Fset", `{"on":1}`, `edged/gw/dev/a/set {"on":1}`},
		{"azure", "devices/gw/messages/devicebound/%24.mid=1", `{"on":1}`, ""},
		{"azure", "devices/other/messages/devicebound/topic=x", `{"on":1}`, ""},
		{"azure", "devices/gw/messages/devicebound/topic=%zz", `{"on":1}`, ""},
		{"thingsboard", "v1/gateway/rpc", `{"device":"a","data":{"id":7,"method":"set","params":{"on":1}}}`, `edged/gw/dev/a/set {"id":"rpc-7-N","on":1}`},
		{"thingsboard", "v1/gateway/rpc", `{"device":"a/b","data":{"id":7,"method":"set","params":{"on":1}}}`, ""},
		{"thingsboard", "v1/gateway/rpc", `{"device":"a","data":{"id":7,"method":"set","params":1}}`, ""},
		{"thingsboard", "v1/gateway/rpc", `{}`, ""},
	} {
		m, ok := dialect.For(c.cloud).In(settings(), dialect.Message{Topic: c.topic, Payload: []byte(c.payload)})
		got := m.Topic + " " + regexp.MustCompile(`rpc-7-\d+`).ReplaceAllString(string(m.Payload), "rpc-7-N")
		if !ok {
			got = ""
		}
		if got != c.want {
			t.Errorf("%s: %s %s is\n%s, want\n%s", c.cloud, c.topic, c.payload, got, c.want)
		}
	}
}

func FuzzCommandsOfTheCloud(f *testing.F) {
	f.Add("devices/gw/messages/devicebound/topic=edged%2Fgw", []byte("{}"))
	f.Add("v1/gateway/rpc", []byte(`{"device":"a","data":{"id":7,"method":"set","params":{"on":1}}}`))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		for _, cloud := range []string{"azure", "thingsboard"} {
			m, ok := dialect.For(cloud).In(settings(), dialect.Message{Topic: topic, Payload: payload})
			if ok && m.Topic == "" {
				t.Errorf("%s: %q is let in without a topic", cloud, topic)
			}
		}
	})
}

func TestAzureToken(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	key := []byte("the device's key")
	token, ends, err := dialect.AzureToken([]byte(base64.StdEncoding.EncodeToString(key)+"\n"), "hub.azure-devices.net", "gw", now)
	if err != nil || !ends.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("%q until %v, %v", token, ends, err)
	}
	values, err := url.ParseQuery(strings.TrimPrefix(string(token), "SharedAccessSignature "))
	if err != nil {
		t.Fatal(err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "hub.azure-devices.net%%2Fdevices%%2Fgw\n%d", ends.Unix())
	if values.Get("sr") != "hub.azure-devices.net/devices/gw" || values.Get("se") != fmt.Sprint(ends.Unix()) ||
		values.Get("sig") != base64.StdEncoding.EncodeToString(mac.Sum(nil)) {
		t.Errorf("token %q", token)
	}
	again, ends, err := dialect.AzureToken(token, "elsewhere", "other", now.Add(time.Hour))
	if err != nil || string(again) != string(token) || !ends.Equal(now.Add(24*time.Hour)) {
		t.Errorf("a token of somebody else: %q until %v, %v", again, ends, err)
	}
	for _, bad := range []string{"", "geheim!", "SharedAccessSignature sr=x", "SharedAccessSignature se=%zz"} {
		if _, _, err := dialect.AzureToken([]byte(bad), "h", "d", now); err == nil || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
