// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// plainText says whether s can be a text of MQTT (1.5.3): UTF-8, at most 65,535 bytes, without control characters.
func plainText(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// validFilter says whether s is a topic filter (MQTT 4.7.1); one of a shared subscription is not, since the session that
// keeps it could then see every other message only.
func validFilter(s string) bool {
	if s == "" || !plainText(s) || s == "$share" || strings.HasPrefix(s, "$share/") {
		return false
	}
	levels := strings.Split(s, "/")
	for i, level := range levels {
		switch {
		case level == "#":
			if i != len(levels)-1 {
				return false
			}
		case level == "+":
		case strings.ContainsAny(level, "+#"):
			return false
		}
	}
	return true
}

// covers says whether every topic that filter b matches is matched by filter a too.
func covers(a, b string) bool {
	if a[0] != '$' && b[0] == '$' && (a[0] == '+' || a[0] == '#') {
		return false // a wildcard at the beginning does not match topics that begin with $ [MQTT-4.7.2-1]
	}
	as, bs := strings.Split(a, "/"), strings.Split(b, "/")
	for i, level := range as {
		switch {
		case level == "#":
			return true
		case i == len(bs):
			return false
		case bs[i] == "#", level != "+" && level != bs[i]:
			return false
		}
	}
	return len(as) == len(bs)
}

// fewest leaves out each filter that another one covers, so that no message is asked for twice.
func fewest(filters []string) []string {
	var out []string
	for i, f := range filters {
		needed := true
		for j, other := range filters {
			if i != j && covers(other, f) && (j < i || !covers(f, other)) {
				needed = false
			}
		}
		if needed {
			out = append(out, f)
		}
	}
	return out
}
