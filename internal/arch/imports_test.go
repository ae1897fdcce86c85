// SPDX-License-Identifier: Apache-2.0

package arch_test

import (
	"maps"
	"slices"
	"strings"
)

const (
	sys    = "golang.org/x/sys"
	argon2 = "golang.org/x/crypto/argon2"
	mochi  = "github.com/mochi-mqtt/server/v2/packets"
	toml   = "github.com/BurntSushi/toml"

	websockets = "github.com/gorilla/websocket"
)

// entry is one package's line in the map of the tree.
type entry struct {
	ours  []string // packages of this module that it may import; "*": all
	third []string // modules or packages of others that it may import
	why   string
}

// treeMap is the direction of the data, as imports: bytes come from below and nobody looks up. A new package needs
// a line here and a sentence in docs/architecture.md.
func treeMap() map[string]entry {
	return map[string]entry{
		"cmd/edged": {
			ours: []string{"*"}, third: []string{"github.com/spf13/cobra", "golang.org/x/term"},
			why: "it wires the parts, so it alone knows them all; the command line is nobody else's business",
		},
		"cmd/edged/gateway": {ours: []string{"*"}, why: programWhy},
		"cmd/edged/demo":    {ours: []string{"*"}, why: programWhy},
		"config": {
			ours: []string{"bridge", "bridge/bus", "bridge/port", "broker", "broker/listener", "console", "uplink", "uplink/dialect", "uplink/reach", "devices", "devices/catalog"}, third: []string{toml},
			why: "each part declares its own Config and Validate; config reads the file into them and part of none",
		},
		"devices": {
			why: "decoders are pure: bytes in, readings out, so that each can be tested, fuzzed, simulated and replayed",
		},
		"devices/checksum": {why: "sums of bytes need nothing of who sends them"},
		"devices/field":    {ours: []string{"devices"}, why: fieldWhy},
		"devices/stream":   {ours: []string{"devices"}, why: "finding frames among garbage needs nothing of what stands in them"},
		"devices/frame":    {ours: []string{"devices", "devices/checksum", "devices/field", "devices/stream"}, why: engineWhy},
		"devices/modbus":   {ours: []string{"devices", "devices/checksum", "devices/field", "devices/stream"}, why: engineWhy},
		"devices/line":     {ours: []string{"devices"}, why: engineWhy},
		"devices/mbus":     {ours: []string{"devices", "devices/stream"}, why: driverWhy},
		"devices/meter":    {ours: []string{"devices", "devices/checksum", "devices/stream"}, why: driverWhy},
		"devices/nmea":     {ours: []string{"devices", "devices/stream"}, why: driverWhy},
		"devices/chip": {
			ours: []string{"devices", "devices/checksum"}, third: []string{"periph.io/x/conn/v3/i2c/i2ctest"}, // for its tests
			why: "a chip is transactions on a bus that it is given, and their meaning",
		},
		"devices/iio":      {ours: []string{"devices"}, why: driverWhy},
		"devices/w1":       {ours: []string{"devices", "devices/checksum"}, why: driverWhy},
		"devices/lines":    {ours: []string{"devices"}, why: driverWhy},
		"devices/pwm":      {ours: []string{"devices"}, why: driverWhy},
		"devices/system":   {ours: []string{"devices"}, why: driverWhy},
		"devices/vedirect": {ours: []string{"devices", "devices/stream"}, why: driverWhy},
		"devices/catalog": {
			ours: []string{
				"devices", "devices/chip", "devices/frame", "devices/iio", "devices/line", "devices/lines", "devices/mbus", "devices/meter", "devices/modbus", "devices/nmea", "devices/pwm", "devices/system",
				"devices/vedirect", "devices/w1",
			}, third: []string{toml},
			why: "it lists the drivers and reads their descriptions, which are TOML",
		},
		"bridge": {
			ours: []string{"bridge/bus", "bridge/port", "devices", "mqtt"},
			why:  "a bridge is an MQTT client like any other: it sees the broker only through its connection",
		},
		"bridge/bus": {
			ours: []string{"bridge/port"},
			why:  "whose turn it is on a line is decided without knowing what is said on it",
		},
		"bridge/port": {
			ours:  []string{"bridge/port/capture", "bridge/port/child"},
			third: []string{"go.bug.st/serial", sys},
			why:   "hardware libraries stay behind ports, and a port does not know what speaks on it",
		},
		"bridge/scan": {
			ours: []string{"bridge/port", "devices", "devices/checksum"},
			why:  "what speaks on a port is found without a broker, by the drivers that it is handed",
		},
		"bridge/port/capture": {why: "what went over a port is text, whoever wrote and reads it"},
		"bridge/port/child": {
			third: []string{sys},
			why:   "a program that is run knows nothing of the ports beside it",
		},
		"bridge/gpio": {
			ours: []string{"devices"}, third: []string{"periph.io/x/conn/v3/gpio", "periph.io/x/conn/v3/physic", sys},
			why: "a line is edges and levels, whatever is wired to it",
		},
		"bridge/hardware": {
			ours: []string{"bridge/gpio", "devices"}, third: []string{"periph.io/x/host/v3/sysfs", sys},
			why: "buses, lines and files stay behind what a driver asks of its machine, and do not know the driver",
		},
		"broker": {
			ours:  []string{"broker/authority", "broker/journal", "broker/listener", "broker/session", "broker/router", "broker/retained", "broker/statistics", "mqtt/wire"},
			third: []string{sys},
			why:   "the broker serves whoever speaks MQTT and knows neither devices nor the cloud",
		},
		"broker/authority": {
			ours: []string{"mqtt/wire"}, third: []string{argon2},
			why: "who may do what is decided from names, secrets and topics, without connections and sessions",
		},
		"broker/listener": {
			third: []string{websockets},
			why:   "who is at the other end is known before anything is said, so it does not know what is spoken",
		},
		"broker/listener/listenertest": {
			third: []string{websockets},
			why:   "certificates and clients for the tests of whoever listens",
		},
		"broker/session":    {ours: []string{"mqtt/wire", "broker/journal"}, why: coreWhy},
		"broker/router":     {ours: []string{"mqtt/wire", "broker/journal"}, why: coreWhy},
		"broker/retained":   {ours: []string{"mqtt/wire", "broker/journal"}, why: coreWhy},
		"broker/statistics": {why: "counting and writing numbers down needs nothing of what is counted"},
		"broker/journal": {
			third: []string{sys},
			why:   "a log of records that does not know what they mean can be tested against every fault of a disk",
		},
		"broker/journal/journaltest": {
			ours: []string{"broker/journal"}, third: []string{sys},
			why: "a disk that fails, for the tests of whoever writes to one",
		},
		"mqtt": {ours: []string{"mqtt/wire"}, why: "the client is used by bridges, uplink and commands and knows none"},
		"mqtt/wire": {
			third: []string{mochi},
			why:   "mochi's codec is seen by this package alone, so that it can be replaced in one place",
		},
		"uplink": {
			ours: []string{"mqtt", "uplink/asked", "uplink/batch", "uplink/dialect", "uplink/learn", "uplink/once", "uplink/reach"}, third: []string{sys},
			why: "the uplink is a client of two brokers; ours is to it what any other is",
		},
		"uplink/reach": {
			third: []string{websockets},
			why:   "how a connection comes about is told without knowing what is spoken on it, so that a command can tell it too",
		},
		"console": {
			ours: []string{"console/metrics"},
			why:  "it shows what it is given, through functions that the program hands to it, and reaches no part itself",
		},
		"console/metrics": {
			third: []string{"github.com/prometheus/client_golang/prometheus", "github.com/prometheus/common/expfmt"},
			why:   "figures in, text out; the only place that knows Prometheus",
		},
		"uplink/asked": {why: "what was subscribed to is remembered without knowing what it is for"},
		"uplink/batch": {
			third: []string{"github.com/klauspost/compress/zstd"},
			why:   "lines in, bytes out and back, so that a command can read what the uplink wrote",
		},
		"uplink/dialect": {why: "what a cloud takes and how it spells it is a table, without connections"},
		"uplink/learn":   {why: "a search and its memory, without the connections that it is about"},
		"uplink/once":    {why: "what was executed is remembered without knowing what it was"},
		"systemd": {
			third: []string{"github.com/coreos/go-systemd/v22/daemon"},
			why:   "the service manager is told by whoever wires the parts, not by the parts",
		},
		"internal/arch":    {why: "the rules of the tree are no part of the product"},
		"internal/built":   {why: "building the product for tests needs nothing of it"},
		"internal/bench":   {ours: []string{"*"}, why: "it measures the product and is no part of it"},
		"internal/hostile": {ours: []string{"*"}, why: "it attacks the product and is no part of it"},
		"internal/e2e":     {ours: []string{"*"}, why: "it runs the product and is no part of it"},
		"internal/path":    {ours: []string{"*"}, why: "it runs the product and is no part of it"},
	}
}

const programWhy = "a part of the program, without its command line"

const (
	engineWhy = "an engine makes drivers and knows none of the others; the catalogue brings them together"
	driverWhy = "a driver in Go is bytes and readings, and knows no other"
	fieldWhy  = "how a value stands in bytes is the same in a frame and in a register"
)

const coreWhy = "who is owed what is decided from messages and positions in the journal, without connections"

func importRules() []rule {
	return []rule{
		{"import-map", "data goes one way; an import against it makes two parts that cannot be understood apart", checkOurs, triedOurs()},
		{"third-party-map", "each library is behind one package of ours, so that it can be judged, pinned and replaced there", checkThird, triedThird()},
		{"devices-are-pure", "a decoder without files, network, clock, log, lock and goroutine gives the same readings in a test, a replay and the field", checkPure, triedPure()},
	}
}

func checkOurs(t *tree) []string {
	var found []string
	lines := treeMap()
	for _, dir := range slices.Sorted(maps.Keys(t.packages())) {
		line, known := lines[dir]
		if !known {
			found = append(found, dir+": the package has no line in the map of the tree (internal/arch/imports_test.go)")
			continue
		}
		for _, f := range t.packages()[dir] {
			for _, spec := range f.ast.Imports {
				ours, own := strings.CutPrefix(pathOf(spec), module+"/")
				switch {
				case !own || ours == dir:
				case ours == "cmd/edged", strings.HasPrefix(ours, "cmd/") && !strings.HasPrefix(dir, "cmd/"),
					strings.HasPrefix(ours, "internal/") && !(ours == "internal/built" && strings.HasPrefix(dir, "internal/")):
					found = append(found, t.at(spec.Pos(), "%s imports %s, which is there for nobody", dir, ours))
				case f.isTest(): // a test may hold its package against any other
				case !slices.Contains(line.ours, ours) && !slices.Contains(line.ours, "*"):
					found = append(found, t.at(spec.Pos(), "%s imports %s: %s", dir, ours, line.why))
				}
			}
		}
	}
	return found
}

func triedOurs() []sample {
	return []sample{
		{"against the direction", map[string]string{
			"broker/door.go": "package broker\nimport \"edged/bridge\"\nvar _ bridge.Config",
		}, []string{"broker imports bridge"}},
		{"package without a line", map[string]string{"spool/s.go": "package spool"}, []string{"spool: the package has no line"}},
		{"the program itself", map[string]string{"config/c.go": "package config\nimport _ \"edged/cmd/edged\""}, []string{"cmd/edged"}},
		{"allowed", map[string]string{
			"bridge/b.go":      "package bridge\nimport _ \"edged/mqtt\"",
			"cmd/edged/m.go":   "package main\nimport _ \"edged/systemd\"",
			"bridge/b_test.go": "package bridge_test\nimport _ \"edged/bridge\"\nimport _ \"edged/broker\"",
		}, nil},
	}
}

func checkThird(t *tree) []string {
	var found []string
	lines := treeMap()
	for _, f := range t.files {
		allowed := lines[f.dir()].third
		if f.isTest() {
			// Pseudo terminals and signals are what a test of this program is made of.
			allowed = append(slices.Clone(allowed), sys)
		}
		for _, spec := range f.ast.Imports {
			p := pathOf(spec)
			if first, _, _ := strings.Cut(p, "/"); !strings.Contains(first, ".") {
				continue
			}
			if !slices.ContainsFunc(allowed, func(a string) bool { return p == a || strings.HasPrefix(p, a+"/") }) {
				found = append(found, t.at(spec.Pos(), "%s imports %s, which is not its to use", f.dir(), p))
			}
		}
	}
	return found
}

func triedThird() []sample {
	return []sample{
		{"codec outside wire", map[string]string{
			"broker/door.go":       "package broker\nimport _ \"" + mochi + "\"",
			"broker/door_test.go":  "package broker\nimport _ \"" + mochi + "\"",
			"mqtt/wire/connect.go": "package wire\nimport _ \"" + mochi + "\"",
		}, []string{"broker/door.go:2", "broker/door_test.go:2"}},
		{"the rest of a module of which one package is allowed", map[string]string{
			"mqtt/wire/x.go": "package wire\nimport _ \"github.com/mochi-mqtt/server/v2\"",
		}, []string{"mochi-mqtt/server/v2, which"}},
		{"library nobody named", map[string]string{
			"uplink/u.go": "package uplink\nimport _ \"example.com/backoff\"",
		}, []string{"example.com/backoff"}},
		{"allowed", map[string]string{
			"bridge/port/p.go":   "package port\nimport _ \"golang.org/x/sys/unix\"\nimport _ \"go.bug.st/serial\"",
			"bridge/pty_test.go": "package bridge\nimport _ \"golang.org/x/sys/unix\"\nimport _ \"net/http\"",
		}, nil},
	}
}
