// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"testing"
)

const addresses = "write mqtts://HOST:PORT, wss://HOST/PATH or mqtts+srv://DOMAIN, or mqtt:// or ws:// without encryption"

func TestGatewayValues(t *testing.T) {
	runFaults(t, []faultCase{
		{"nothing", "", nil},
		{"comments", "# x\n\n", nil},
		{"id", "[gateway]\nid = \"press-hall-3\"\ntags = { site = \"ulm\" }\n", nil},
		{"id with a dot", "[gateway]\nid = \"a.b\"\n", []string{
			`e.toml:2:6: gateway.id: "a.b" holds the character '.'; allowed: 1 to 32 of a-z, 0-9 and - (E503)`,
		}},
		{"id with an underscore", "[gateway]\nid = \"a_b\"\n", []string{
			`e.toml:2:6: gateway.id: "a_b" holds the character '_'; allowed: 1 to 32 of a-z, 0-9 and - (E503)`,
		}},
		{"empty id", "[gateway]\nid = \"\"\n", []string{
			`e.toml:2:6: gateway.id: is empty; allowed: 1 to 32 of a-z, 0-9 and - (E503)`,
		}},
		{"long id", "[gateway]\nid = \"a23456789b123456789c123456789d123\"\n", []string{
			`e.toml:2:6: gateway.id: "a23456789b123456789c123456789d123" has 33 characters; allowed: 1 to 32 of a-z, 0-9 and - (E503)`,
		}},
		{"id as a date", "[gateway]\nid = 2024-01-01\n", []string{
			`e.toml:2:6: gateway.id: must be a string, not a date or time (E502)`,
		}},
		{"tags as a list", "[gateway]\ntags = []\n", []string{
			`e.toml:2:1: gateway.tags: must be a table of strings, not a list; such as { site = "ulm" } (E502)`,
		}},
		{"a table as a value", "gateway = 5\n", []string{
			`e.toml:1:11: gateway: must be a table, not an integer; write [gateway] (E502)`,
		}},
		{"a value as a table", "[gateway.id]\nx = 1\n", []string{
			`e.toml:1:10: gateway.id: must be a string, not a table (E502)`,
		}},
		{"tables of other versions", "[bus.attic]\ndriver = \"enocean\"\nport = \"/dev/ttyUSB0\"\nadopt = \"ask\"\n", []string{
			`e.toml:2:1: bus.attic.driver: is not available in this version (E507)`,
			`e.toml:4:1: bus.attic.adopt: is not available in this version (E507)`,
		}},
	})
}

func TestBrokerValues(t *testing.T) {
	runFaults(t, []faultCase{
		{"everything", "[broker]\nlisten = [\"127.0.0.1:1883\", \"[::1]:1883\"]\nanonymous = true\ndurability = \"memory\"\n" +
			"[broker.limits]\nclients = 10\npreauth = 11\npreauth_per_address = 12\nconnect_timeout = \"2s\"\npacket = \"1MiB\"\ntopic_levels = 8\n" +
			"subscriptions_per_client = 9\nretained = 10\nretained_bytes = \"1MiB\"\nsession_expiry = \"1d\"\nsession_queue = \"1MiB\"\njournal = \"1GiB\"\n", nil},
		{"bad addresses", "[broker]\nlisten = [\"localhost\", \"localhost:mqtt\", \"tcp://localhost:1883\", \"localhost:70000\"]\n", []string{
			`e.toml:2:11: broker.listen[0]: "localhost" is no address: write HOST:PORT, such as "127.0.0.1:1883" (E503)`,
			`e.toml:2:24: broker.listen[1]: "mqtt" is no port: use 0 to 65535 (E503)`,
			`e.toml:2:42: broker.listen[2]: "tcp" is not known in "tcp://localhost:1883": use "HOST:PORT", or tls, ws, wss or unix before "://" (E503)`,
			`e.toml:2:66: broker.listen[3]: "70000" is no port: use 0 to 65535 (E503)`,
		}},
		{"open to the network", "[broker]\nlisten = [\n  \"127.0.0.1:1883\",\n  \"0.0.0.0:1883\", \"[::]:1884\", \":1885\"\n]\n", []string{
			`e.toml:4:3: broker.listen[1]: "0.0.0.0:1883" is open to the network, and there is no user: edged user add NAME makes one; or listen on "127.0.0.1:1883" (E410)`,
			`e.toml:4:19: broker.listen[2]: "[::]:1884" is open to the network, and there is no user: edged user add NAME makes one; or listen on "127.0.0.1:1884" (E410)`,
			`e.toml:4:32: broker.listen[3]: ":1885" is open to the network, and there is no user: edged user add NAME makes one; or listen on "127.0.0.1:1885" (E410)`,
		}},
		{"a default that another value rules out", "[broker.limits]\njournal = \"32MiB\"\n", []string{
			`e.toml:1:9: broker.limits.session_queue: 64MiB does not fit into limits.journal, 32MiB (E503)`,
		}},
		{"listen as a string", "[broker]\nlisten = \"127.0.0.1:1883\"\n", []string{
			`e.toml:2:10: broker.listen: must be a list of strings, not a string; such as ["127.0.0.1:1883"] (E502)`,
		}},
		{"durability", "[broker]\ndurability = \"disc\"\nanonymous = \"yes\"\n", []string{
			`e.toml:2:14: broker.durability: "disc" is not known; possible: "disk", "link", "memory" (E503)`,
			`e.toml:3:13: broker.anonymous: must be true or false, not a string (E502)`,
		}},
		{"bare numbers", "[broker.limits]\nconnect_timeout = 10\npacket = 4096\n", []string{
			`e.toml:2:19: broker.limits.connect_timeout: must be a duration such as "30s", not an integer; did you mean "10s"? (E502)`,
			`e.toml:3:10: broker.limits.packet: must be a size such as "64MiB", not an integer; did you mean "4KiB"? (E502)`,
		}},
		{"units", "[broker.limits]\nconnect_timeout = \"10 s\"\nsession_expiry = \"7days\"\npacket = \"256kB\"\njournal = \"1.5GiB\"\n", []string{
			`e.toml:2:19: broker.limits.connect_timeout: "10 s" is not a duration; write a number and a unit, such as "500ms", "30s", "5m", "1h30m" or "7d" (E503)`,
			`e.toml:3:18: broker.limits.session_expiry: "7days" is not a duration; write a number and a unit, such as "500ms", "30s", "5m", "1h30m" or "7d" (E503)`,
			`e.toml:4:10: broker.limits.packet: "256kB" is not a size; write a whole number and a unit, such as "256KiB", "64MiB" or "1GiB" (E503)`,
			`e.toml:5:11: broker.limits.journal: "1.5GiB" is not a size; write a whole number and a unit, such as "256KiB", "64MiB" or "1GiB" (E503)`,
		}},
		{"out of range", "[broker.limits]\nclients = 0\npreauth = -1\nretained = 4294967296\nconnect_timeout = \"0s\"\npacket = \"1GiB\"\ntopic_levels = 1.5\n", []string{
			`e.toml:2:11: broker.limits.clients: 0 is out of range: use 1 to 1048576 (E503)`,
			`e.toml:3:11: broker.limits.preauth: -1 is out of range: use 1 to 65536 (E503)`,
			`e.toml:4:12: broker.limits.retained: 4294967296 is out of range (E503)`,
			`e.toml:5:19: broker.limits.connect_timeout: 0s is out of range: use 100ms to 1h (E503)`,
			`e.toml:6:10: broker.limits.packet: 1GiB is out of range: use 1KiB to 1MiB (E503)`,
			`e.toml:7:16: broker.limits.topic_levels: must be a whole number, not a number (E502)`,
		}},
	})
}

func TestUplinkValues(t *testing.T) {
	t.Setenv("EDGED_TEST_SECRET", "geheim")
	runFaults(t, []faultCase{
		{"smallest", "[uplink]\nurl = \"mqtts://mqtt.example.com:8883\"\n", nil},
		{"everything", "[uplink]\nurl = [\"mqtts://a:8883\", \"mqtt://b\"]\nversion = \"3.1.1\"\nclient_id = \"x-{gateway}\"\nusername = \"{gateway}\"\n" +
			"password = \"env:EDGED_TEST_SECRET\"\nkeepalive = \"30s\"\nsend = [\"edged/{gateway}/#\", \"plc/+/x\"]\nreceive = []\nprefix = \"ulm/\"\nqos = 2\ninflight = 1\n" +
			"queue = { size = \"512MiB\" }\n", nil},
		{"more than the journal holds", "[uplink]\nurl = \"mqtt://a\"\nqueue.size = \"513MiB\"\n", []string{
			`e.toml:3:14: uplink.queue.size: 513MiB does not fit into journal of [broker.limits], 512MiB (E503)`,
		}},
		{"no url", "[uplink]\nqos = 1\n", []string{
			`e.toml:1:2: uplink.url: is missing; such as url = "mqtts://mqtt.example.com:8883" (E506)`,
		}},
		{"empty url list", "[uplink]\nurl = []\n", []string{
			`e.toml:2:7: uplink.url: holds no address; such as "mqtts://mqtt.example.com:8883" (E503)`,
		}},
		{"ways", "[uplink]\nurl = [\"wss://a\", \"ws://b/x/mqtt\", \"mqtts+srv://c\"]\nalpn = \"x-amzn-mqtt-ca\"\nproxy = \"http://p:3128\"\n", nil},
		{"schemes", "[uplink]\nurl = [\"https://a\", \"d:1883\", \"mqtt://e:0\", \"mqtts://f/x\", \"mqtt+srv://g:1883\", \"wss://h?x=1\"]\n", []string{
			`e.toml:2:8: uplink.url[0]: "https://" is not known; ` + addresses + ` (E503)`,
			`e.toml:2:21: uplink.url[1]: "d:1883" is no address of a broker; ` + addresses + ` (E503)`,
			`e.toml:2:31: uplink.url[2]: port 0 is not 1 to 65535 (E503)`,
			`e.toml:2:45: uplink.url[3]: a path means nothing to mqtts://; only ws:// and wss:// have one (E503)`,
			`e.toml:2:60: uplink.url[4]: a port means nothing to mqtt+srv://; the SRV records of the domain tell it (E503)`,
			`e.toml:2:81: uplink.url[5]: "wss://h?x=1" is more or less than an address; ` + addresses + ` (E503)`,
		}},
		{"proxies", "[uplink]\nurl = \"mqtt://a\"\nproxy = \"socks5://p\"\nalpn = \"mqtt\"\n", []string{
			`e.toml:3:9: uplink.proxy: a proxy is not spoken to by socks5://; write http://HOST:PORT; what goes through it is encrypted all the same where url says so (E503)`,
			`e.toml:4:8: uplink.alpn: means nothing to mqtt:// and ws://, which are not encrypted; write mqtts:// or wss:// in url (E503)`,
		}},
		{"a password in the proxy", "[uplink]\nurl = \"mqtts://a\"\nproxy = \"http://me:geheim@p:3128\"\n", []string{
			`e.toml:3:9: uplink.proxy: a user or password must not stand in the address; put the whole address into a file and write proxy = "file:/etc/edged/secrets/proxy" (E510)`,
		}},
		{"a secret that is no proxy", "[uplink]\nurl = \"mqtts://a\"\nproxy = \"env:EDGED_TEST_SECRET\"\n", []string{
			`e.toml:3:9: uplink.proxy: it refers to what is no address of a proxy; it must hold http://USER:PASSWORD@HOST:PORT (E503)`,
		}},
		{"a password in the url", "[uplink]\nurl = \"mqtts://me:geheim@a:8883\"\n", []string{
			`e.toml:2:7: uplink.url: a user or password must not stand in the address; use the keys username and password = "file:/etc/edged/secrets/cloud" (E510)`,
		}},
		{"version", "[uplink]\nurl = \"mqtt://a\"\nversion = 3.1\n", []string{
			`e.toml:3:11: uplink.version: must be a string, not a number; write "3.1.1" or "5" (E502)`,
		}},
		{"an unencrypted cloud", "[uplink]\nurl = \"mqtt://a\"\ncloud = \"aws\"\n", []string{
			`e.toml:2:7: uplink.url: AWS IoT Core speaks TLS only: write mqtts:// or wss:// (E503)`,
		}},
		{"version of another version", "[uplink]\nurl = \"mqtt://a\"\nkeepalive = \"auto\"\nrate = { bytes = -1, messages = \"5\" }\ncloud = \"avs\"\n[uplink.queue]\nage = \"1s\"\nsize = \"0KiB\"\nwhen_full = \"newest\"\n", []string{
			`e.toml:4:18: uplink.rate.bytes: -1 is out of range; 0 to 2147483647 (E503)`,
			`e.toml:4:33: uplink.rate.messages: must be a whole number, not a string (E502)`,
			`e.toml:5:9: uplink.cloud: "avs" is not known; possible: "generic", "aws", "azure", "hivemq", "thingsboard" (E503)`,
			`e.toml:7:7: uplink.queue.age: "1s" is out of range; "1m" to "36500d" (E503)`,
			`e.toml:8:8: uplink.queue.size: "0KiB" is out of range; "1KiB" to "1048576GiB" (E503)`,
			`e.toml:9:13: uplink.queue.when_full: "newest" is not known; possible: "drop-oldest", "reject", "conflate" (E503)`,
		}},
		{"conflate", "[uplink]\nurl = \"mqtt://a\"\nqueue = { conflate = [\"a/#/b\"] }\n", []string{
			`e.toml:3:11: uplink.queue.conflate: means nothing without when_full = "conflate" (E503)`,
			`e.toml:3:23: uplink.queue.conflate[0]: "a/#/b" is no topic filter (E503)`,
		}},
		{"filters", "[uplink]\nurl = \"mqtt://a\"\nsend = [\"a/#/b\", \"ok\"]\nreceive = [\"a+\", \"\"]\nprefix = \"a/#\"\n", []string{
			`e.toml:3:9: uplink.send[0]: "a/#/b" is no topic filter (E503)`,
			`e.toml:4:12: uplink.receive[0]: "a+" is no topic filter (E503)`,
			`e.toml:4:18: uplink.receive[1]: "" is no topic filter (E503)`,
			`e.toml:5:10: uplink.prefix: must be the beginning of a topic: text without + and # (E503)`,
		}},
		{"placeholders", "[uplink]\nurl = \"mqtt://a\"\nclient_id = \"{gw}\"\nsend = [\"x/{gateway}/{id}\"]\nprefix = \"{gateway}/\"\n", []string{
			`e.toml:3:13: uplink.client_id: {gw} is no placeholder; only {gateway} is replaced (E503)`,
			`e.toml:4:9: uplink.send[0]: {id} is no placeholder; only {gateway} is replaced (E503)`,
			`e.toml:5:10: uplink.prefix: {gateway} is not replaced in a prefix; write the gateway's id (E503)`,
		}},
		{"numbers", "[uplink]\nurl = \"mqtt://a\"\nqos = 3\ninflight = 70000\nkeepalive = \"90.5s\"\n", []string{
			`e.toml:3:7: uplink.qos: 3 is out of range; 0 to 2 (E503)`,
			`e.toml:4:12: uplink.inflight: 70000 is out of range; 1 to 65535 (E503)`,
			`e.toml:5:13: uplink.keepalive: "90.5s" is not in whole seconds; MQTT counts this time in seconds (E503)`,
		}},
		{"files", "[uplink]\nurl = \"mqtts://a\"\nca = \"ca.pem\"\ncert = \"/nowhere/c.pem\"\n", []string{
			`e.toml:1:2: uplink.key: is needed besides cert: a client certificate is both (E503)`,
			`e.toml:3:6: uplink.ca: "ca.pem" is not an absolute path; begin it with / (E503)`,
			`e.toml:4:8: uplink.cert: cannot be read: open /nowhere/c.pem: no such file or directory (E503)`,
		}},
		{"password without a user", "[uplink]\nurl = \"mqtts://a\"\npassword = \"env:EDGED_TEST_SECRET\"\n", []string{
			`e.toml:3:12: uplink.password: a password needs a username in MQTT 3.1.1 (E503)`,
		}},
		{"the least keepalive", "[uplink]\nurl = \"mqtts://a\"\nkeepalive = \"1s\"\n", []string{
			`e.toml:3:13: uplink.keepalive: must be whole seconds, from "5s" to "65535s" (E503)`,
		}},
	})
}
