// SPDX-License-Identifier: Apache-2.0

// Package config turns edged's TOML files into the checked configurations of its parts, and tells everything that is
// wrong with them at once, each fault with its place.
package config

import (
	"edged/bridge"
	"edged/bridge/bus"
	"edged/broker"
	"edged/console"
	"edged/devices"
	"edged/devices/catalog"
	"edged/uplink"
)

// Config is everything that edged was told, with defaults where it was not.
type Config struct {
	Gateway Gateway
	Broker  broker.Config
	Console console.Config
	Uplink  *uplink.Config  // nil: no cloud
	Buses   []bus.Config    // in the order of the files
	Devices []bridge.Config // in the order of the files, the disabled ones too
	Files   []string        // that were read, descriptions of devices last
	Drivers *catalog.Set    // what devices may name; nil: the catalogue
	Hash    string          // of the effective configuration without secrets

	password      Secret            // of the uplink
	proxy         Secret            // the address of the uplink's proxy, where that is one
	userPasswords map[string]Secret // of the broker's users, by name
	sources       []*source
}

// Load reads the file at path, or the default places where path is "". Files that are not at the default places are no
// fault; a file that path names must be there. Descriptions of devices are read from devices/*.toml beside it. The error is
// a [Problems].
func Load(path string) (*Config, error) {
	if path == "" {
		return LoadDir(Dir)
	}
	return load([]string{path}, describe(dirOf(path)))
}

// LoadDir reads edged.toml, conf.d/*.toml and devices/*.toml of a directory, none of which needs to be there. The error is a
// [Problems].
func LoadDir(dir string) (*Config, error) {
	names, err := places(dir)
	if err != nil {
		return nil, Problems{{Code: NoFile, File: dir, Text: cause(err)}}
	}
	return load(names, describe(dir))
}

// Parse reads a configuration of one file that is in memory; name is what messages call it. The error is a [Problems].
func Parse(name, text string) (*Config, error) {
	src, p := parse(name, 0, text)
	if p != nil {
		return nil, Problems{*p}
	}
	return build([]*source{src}, described{})
}

func load(names []string, with described) (*Config, error) {
	var sources []*source
	var unreadable Problems
	for i, name := range names {
		text, p := readFile(name, i)
		if p == nil {
			var src *source
			src, p = parse(name, i, text)
			sources = append(sources, src)
		}
		if p != nil {
			unreadable = append(unreadable, *p)
		}
	}
	if len(unreadable) > 0 {
		return nil, unreadable
	}
	return build(sources, with)
}

// build makes the configuration of what the files hold. The error is a [Problems].
func build(sources []*source, with described) (*Config, error) {
	cfg, problems := assemble(sources, with)
	if len(problems) > 0 {
		return nil, problems
	}
	if cfg.Gateway.ID != "" {
		cfg.name(cfg.Gateway.ID)
	}
	cfg.Hash = cfg.hash()
	return cfg, nil
}

// assemble reads all keys of the files; what has a problem keeps its default.
func assemble(sources []*source, with described) (*Config, Problems) {
	c := &check{told: map[string]bool{}, ports: map[string]*node{}, set: with.set, drivers: map[string]*devices.Driver{}}
	cfg := &Config{Drivers: with.set, Broker: broker.Defaults(), Console: console.Defaults(), userPasswords: map[string]Secret{}}
	root := &node{src: &source{}}
	for _, src := range sources {
		c.merge(root, src.root, "")
		cfg.Files = append(cfg.Files, src.name)
		cfg.sources = append(cfg.sources, src)
	}
	for _, f := range with.set.Files() {
		cfg.Files = append(cfg.Files, f.Name)
	}
	v := value{c, "", root}
	if v.has("bus") { // devices name them, wherever they stand
		v.kid("bus").buses(&cfg.Buses)
	}
	c.lines = cfg.Buses
	v.table("", topFields(cfg))
	cfg.speeds(v)
	c.validate(cfg, root)
	c.problems = append(c.problems, with.problems...)
	c.problems.sort()
	return cfg, c.problems
}

func topFields(cfg *Config) []field {
	return []field{
		{"bus", func(value) {}}, // was read before
		{"gateway", func(v value) { v.table("[gateway]", gatewayFields(&cfg.Gateway)) }},
		{"broker", func(v value) { v.broker(&cfg.Broker, cfg.userPasswords) }},
		{"uplink", func(v value) {
			up := uplink.Defaults()
			if v.table("[uplink]", uplinkFields(&up, &cfg.password, &cfg.proxy)) {
				v.need("url", `such as url = "mqtts://mqtt.example.com:8883"`)
				cfg.Uplink = &up
			}
			if cfg.password != (Secret{}) {
				up.Password = cfg.password.Read
			}
			if cfg.proxy != (Secret{}) {
				up.ProxySecret = cfg.proxy.Read
			}
		}},
		{"console", func(v value) { v.table("[console]", consoleFields(&cfg.Console)) }},
		{"device", func(v value) { v.devices(&cfg.Devices) }},
	}
}
