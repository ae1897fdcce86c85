// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"math"
	"strings"
	"unicode/utf8"
)

// ValidTopic says whether a name may be published to, as far as the standard goes: 1 to 65,535 bytes of UTF-8 without
// U+0000 and wildcards.
func ValidTopic(t []byte) bool {
	if len(t) == 0 || len(t) > math.MaxUint16 {
		return false
	}
	plain := true
	for _, c := range t {
		if c == 0 || c == '+' || c == '#' {
			return false
		}
		plain = plain && c < utf8.RuneSelf
	}
	return plain || utf8.Valid(t)
}

// ValidTopicName is [ValidTopic] for a string.
func ValidTopicName(s string) bool {
	return s != "" && len(s) <= math.MaxUint16 && !strings.ContainsAny(s, "\x00+#") && utf8.ValidString(s)
}

// ValidFilter says whether a topic filter is well formed (4.7.1, 4.7.3, 4.8.2), and splits $share/GROUP/ off; group is
// "" for a filter that is not shared.
func ValidFilter(s string) (group, filter string, ok bool) {
	if len(s) > math.MaxUint16 || strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		return "", "", false
	}
	filter = s
	if rest, shared := strings.CutPrefix(s, "$share/"); shared {
		group, filter, ok = strings.Cut(rest, "/")
		if !ok || group == "" || strings.ContainsAny(group, "+#") {
			return "", "", false
		}
	}
	if filter == "" {
		return "", "", false
	}
	for i := range len(filter) {
		switch c := filter[i]; {
		case c != '+' && c != '#':
		case i > 0 && filter[i-1] != '/': // a wildcard fills its level
			return "", "", false
		case i+1 < len(filter) && (c == '#' || filter[i+1] != '/'): // and # is the last
			return "", "", false
		}
	}
	return group, filter, true
}

// Matches says whether a topic filter matches a topic name, both valid and the filter without its $share/GROUP/.
// Wildcards at the head of a filter match no topic that begins with $ [MQTT-4.7.2-1].
func Matches(filter, topic string) bool {
	if topic != "" && topic[0] == '$' && wildHead(filter) {
		return false
	}
	for {
		f, fRest, fMore := strings.Cut(filter, "/")
		if f == "#" {
			return true
		}
		t, tRest, tMore := strings.Cut(topic, "/")
		if f != "+" && f != t {
			return false
		}
		if !tMore {
			return !fMore || fRest == "#" // "a/#" matches "a" too
		}
		if !fMore {
			return false
		}
		filter, topic = fRest, tRest
	}
}

// Overlap says whether some topic matches both filters, which are valid and without $share/GROUP/.
func Overlap(a, b string) bool {
	switch {
	case a[0] == '$' && wildHead(b), b[0] == '$' && wildHead(a):
		return false
	case a == "/#" && b == "+", a == "+" && b == "/#": // they share only the empty name, which is no topic
		return false
	}
	for {
		x, aRest, aMore := strings.Cut(a, "/")
		y, bRest, bMore := strings.Cut(b, "/")
		switch {
		case x == "#" || y == "#":
			return true
		case x != y && x != "+" && y != "+":
			return false
		case !aMore || !bMore:
			return aMore == bMore || aRest == "#" || bRest == "#"
		}
		a, b = aRest, bRest
	}
}

func wildHead(filter string) bool {
	return filter != "" && (filter[0] == '+' || filter[0] == '#')
}
