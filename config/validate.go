// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// validator is a part's configuration that knows which values it can work with.
type validator interface {
	Validate(report func(key, problem string))
}

// validate lets each part check its values. What was reported already is not reported again.
func (c *check) validate(cfg *Config, root *node) {
	top := value{c, "", root}
	top.part(cfg.Broker, "broker")
	if cfg.Uplink != nil {
		top.part(*cfg.Uplink, "uplink")
		top.queue(cfg)
	}
	top.part(cfg.Console, "console")
	top.console(cfg)
	for _, b := range cfg.Buses {
		top.part(b, "bus", b.Name)
	}
	for _, d := range cfg.Devices {
		top.part(d, "device", d.Name)
	}
}

// queue reports what may wait for the cloud when the broker's journal has no room for it.
func (v value) queue(cfg *Config) {
	size, journal := cfg.Uplink.QueueSize, cfg.Broker.Limits.Journal
	if size > journal && v.has("uplink") {
		v.kid("uplink").reported("queue.size", fmt.Sprintf("%s does not fit into journal of [broker.limits], %s", FormatSize(size), FormatSize(journal)))
	}
}

func (v value) part(part validator, table ...string) {
	for _, name := range table {
		if !v.has(name) {
			return
		}
		v = v.kid(name)
	}
	part.Validate(v.reported)
}

// first takes the first name off a key, with the index that it may have. Names that the table has may hold dots.
func (v value) first(key string) (name, index, rest string) {
	name, rest, _ = strings.Cut(key, ".")
	for _, known := range v.node.names {
		if after, ok := strings.CutPrefix(key, known); ok && len(known) > len(name) && (after == "" || after[0] == '.' || after[0] == '[') {
			name, rest = known, strings.TrimPrefix(after, ".")
		}
	}
	name, index, _ = strings.Cut(strings.TrimSuffix(name, "]"), "[")
	return name, index, rest
}

// reported places what a part says about a key of its table: at the value, or, where the files do not have the key, at
// the table that it would be in.
func (v value) reported(key, problem string) {
	code, text := BadValue, problem
	if m := regexp.MustCompile(`^(?s)(.*?)\s*\((E\d{3})\)$`).FindStringSubmatch(problem); m != nil {
		text, code = m[1], m[2]
	}
	table, full := v.node, v.key
	for rest := key; rest != ""; {
		var name, index string
		name, index, rest = v.first(rest)
		full = join(full, name)
		if !v.has(name) {
			break
		}
		v = v.kid(name)
		if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(v.node.items) {
			v = v.item(i, v.node.items[i])
		}
		full = v.key
	}
	if v.told[full] {
		return
	}
	at := v.node.value
	if v.node != table && (v.node.kind == inline || v.node.kind == list) {
		at = v.node.key
	}
	v.report(v.node, at, code, full, text, "")
}
