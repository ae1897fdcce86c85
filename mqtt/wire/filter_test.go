// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"strings"
	"testing"

	"edged/mqtt/wire"
)

func TestValidFilter(t *testing.T) {
	for _, c := range []struct {
		in, group, filter string
		ok                bool
	}{
		{"a", "", "a", true},
		{"/", "", "/", true},
		{"a//b", "", "a//b", true},
		{"#", "", "#", true},
		{"+", "", "+", true},
		{"a/#", "", "a/#", true},
		{"+/+/#", "", "+/+/#", true},
		{"/+", "", "/+", true},
		{"+/a", "", "+/a", true},
		{"$SYS/#", "", "$SYS/#", true},
		{"$share", "", "$share", true},
		{"a b", "", "a b", true},
		{"höhe/+", "", "höhe/+", true},
		{"$share/g/a/#", "g", "a/#", true},
		{"$share/g//", "g", "/", true},
		{"$share/g/$SYS/a", "g", "$SYS/a", true},
		{in: ""},
		{in: "a#"},
		{in: "a+"},
		{in: "+a/b"},
		{in: "a/b+/c"},
		{in: "a/#/b"},
		{in: "##"},
		{in: "++"},
		{in: "#/"},
		{in: "a/#b"},
		{in: "$share/"},
		{in: "$share/g"},
		{in: "$share/g/"},
		{in: "$share//a"},
		{in: "$share/+/a"},
		{in: "$share/g#/a"},
		{in: "$share/g/a#"},
		{in: "a\x00b"},
		{in: "a\xff"},
		{in: "a\xed\xa0\x80"},
		{in: strings.Repeat("a", 65536)},
	} {
		group, filter, ok := wire.ValidFilter(c.in)
		if group != c.group || filter != c.filter || ok != c.ok {
			t.Errorf("%.20q: got %q %q %t, want %q %q %t", c.in, group, filter, ok, c.group, c.filter, c.ok)
		}
	}
}

func TestValidTopic(t *testing.T) {
	for _, c := range []struct {
		in string
		ok bool
	}{
		{"a", true},
		{"/", true},
		{"$SYS/a", true},
		{"a b/ü", true},
		{strings.Repeat("a", 65535), true},
		{"", false},
		{"a/+", false},
		{"#", false},
		{"a\x00", false},
		{"\xc0\x80", false},
		{"\xed\xbf\xbf", false},
		{strings.Repeat("a", 65536), false},
	} {
		if got := wire.ValidTopic([]byte(c.in)); got != c.ok {
			t.Errorf("ValidTopic(%.20q): got %t", c.in, got)
		}
		if got := wire.ValidTopicName(c.in); got != c.ok {
			t.Errorf("ValidTopicName(%.20q): got %t", c.in, got)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/b", "a", false},
		{"a", "A", false},
		{"#", "a/b/c", true},
		{"#", "/", true},
		{"a/#", "a", true},
		{"a/#", "a/", true},
		{"a/#", "a/b/c", true},
		{"a/#", "ab", false},
		{"a/#", "b/a", false},
		{"+", "a", true},
		{"+", "a/b", false},
		{"+", "/a", false},
		{"/+", "/a", true},
		{"+/+", "/a", true},
		{"+/+", "a", false},
		{"a/+", "a", false},
		{"a/+", "a/", true},
		{"a/+/c", "a/b/c", true},
		{"a/+/c", "a//c", true},
		{"a/+/#", "a/b", true},
		{"a/+/#", "a", false},
		{"a//b", "a/b", false},
		{"a/", "a", false},
		{"a", "a/", false},
		{"/", "/", true},
		{"#", "$SYS/a", false},
		{"+/a", "$SYS/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"$SYS/+", "$SYS/a", true},
		{"$SYS/#", "$SYS", true},
		{"a/+", "a/$b", true},
		{"a/#", "a/$b", true},
	} {
		if got := wire.Matches(c.filter, c.topic); got != c.want {
			t.Errorf("%q, %q: got %t", c.filter, c.topic, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a", "a/b", false},
		{"a/#", "a", true},
		{"a/#", "b/#", false},
		{"#", "a/+/c", true},
		{"a/+", "+/b", true},
		{"a/+", "a/b/c", false},
		{"a/+", "a", false},
		{"a/+/c", "a/b/+", true},
		{"a/+/c", "a/b/d", false},
		{"a/#", "a/b/#", true},
		{"+/#", "a", true},
		{"+/b/#", "a/b", true},
		{"+/b/#", "a", false},
		{"a/b", "a/b/#", true},
		{"a/b/c", "a/b/#", true},
		{"/+", "+", false},
		{"/+", "+/+", true},
		{"+/+/+", "a/#", true},
		{"$SYS/a", "#", false},
		{"$SYS/a", "+/a", false},
		{"$SYS/#", "$SYS/a", true},
		{"a/$b", "a/+", true},
		{"#", "+", true},
	} {
		if x, y := wire.Overlap(c.a, c.b), wire.Overlap(c.b, c.a); x != c.want || y != c.want {
			t.Errorf("%q, %q: got %t and %t", c.a, c.b, x, y)
		}
	}
}

// All filters and topics of up to three levels, against the definition itself.
func TestOverlapIsThatSomeTopicMatchesBoth(t *testing.T) {
	var topics, filters []string
	var grow func(prefix string, depth int)
	grow = func(prefix string, depth int) {
		for _, level := range []string{"a", "b", "", "$", "+", "#"} {
			s := prefix + level
			if _, _, ok := wire.ValidFilter(s); ok {
				filters = append(filters, s)
			}
			if wire.ValidTopicName(s) {
				topics = append(topics, s)
			}
			if depth > 1 && level != "#" {
				grow(s+"/", depth-1)
			}
		}
	}
	grow("", 3)
	for _, a := range filters {
		for _, b := range filters {
			want := false
			for _, x := range topics {
				if want = wire.Matches(a, x) && wire.Matches(b, x); want {
					break
				}
			}
			if got := wire.Overlap(a, b); got != want {
				t.Fatalf("%q, %q: got %t, want %t", a, b, got, want)
			}
		}
	}
}

func TestMatchesDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { wire.Matches("edged/+/dev/+/#", "edged/gw/dev/air/data") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
