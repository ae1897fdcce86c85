// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strings"

	"edged/mqtt/wire"
)

// Placeholders stand for whole levels of a right's filter.
const (
	forClientID = "{client_id}"
	forUser     = "{user}"
)

// right is a topic filter in which one level or several may be the client identifier.
type right struct {
	filter string
	own    bool // it holds {client_id}
}

// plain makes rights of filters in which nothing is replaced.
func plain(filters []string) []right {
	all := make([]right, len(filters))
	for i, f := range filters {
		all[i] = right{filter: f}
	}
	return all
}

// rightsOf makes rights of a user's filters. One that its name cannot stand in does not exist.
func rightsOf(user string, filters []string) []right {
	var all []right
	for _, f := range filters {
		if f, ok := replaceLevel(f, forUser, user); ok {
			all = append(all, right{filter: f, own: hasLevel(f, forClientID)})
		}
	}
	return all
}

// expand returns the filter of a client. Without one the right does not exist for it.
func (f right) expand(clientID string) (filter string, ok bool) {
	if !f.own {
		return f.filter, true
	}
	return replaceLevel(f.filter, forClientID, clientID)
}

func (f right) matches(clientID, topic string) bool {
	filter, ok := f.expand(clientID)
	return ok && wire.Matches(filter, topic)
}

func (f right) overlaps(clientID, filter string) bool {
	own, ok := f.expand(clientID)
	return ok && wire.Overlap(own, filter)
}

// clientIn is the level of a topic that stands where the right has the client identifier.
func (f right) clientIn(topic string) (clientID string, ok bool) {
	if !f.own {
		return "", false
	}
	filter, rest, more := f.filter, topic, true
	for more {
		var level string
		clientID, rest, more = strings.Cut(rest, "/")
		level, filter, _ = strings.Cut(filter, "/")
		if level == forClientID {
			return clientID, true
		}
	}
	return "", false
}

func matchesAny(rights []right, clientID, topic string) bool {
	for _, f := range rights {
		if f.matches(clientID, topic) {
			return true
		}
	}
	return false
}

// hasLevel tells whether a level of a filter is the placeholder.
func hasLevel(filter, placeholder string) bool {
	for level := range strings.SplitSeq(filter, "/") {
		if level == placeholder {
			return true
		}
	}
	return false
}

// replaceLevel puts a name in place of each level that is the placeholder. It is false where the name could widen the
// right: with a wildcard or another level in it (CVE-2017-7650), with the $ of the broker's topics at its head, empty, or
// with a control character.
func replaceLevel(filter, placeholder, name string) (_ string, ok bool) {
	if !hasLevel(filter, placeholder) {
		return filter, true
	}
	if name == "" || name[0] == '$' || strings.ContainsAny(name, "+#/") || strings.ContainsFunc(name, isControl) {
		return "", false
	}
	levels := strings.Split(filter, "/")
	for i, level := range levels {
		if level == placeholder {
			levels[i] = name
		}
	}
	return strings.Join(levels, "/"), true
}

func isControl(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }
