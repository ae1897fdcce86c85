// SPDX-License-Identifier: Apache-2.0

package wire_test

import (
	"reflect"
	"strings"
	"testing"

	"edged/mqtt/wire"
)

func TestPropertiesAreReadBack(t *testing.T) {
	for name, p := range map[string]wire.Properties{
		"none": {},
		"all": {
			IsText: true, ContentType: "text/plain", ResponseTopic: "a/b", CorrelationData: []byte{0, 255},
			User: []wire.UserProperty{{"b", "1"}, {"a", ""}, {"", "2"}, {"b", "1"}},
		},
		"one": {User: []wire.UserProperty{{"k", strings.Repeat("v", 65535)}}},
	} {
		b := p.Append(nil)
		got, ok := wire.ReadProperties(b)
		if !ok || !wire.ValidProps(b) || !reflect.DeepEqual(got, p) {
			t.Errorf("%s: read back %+v, %t", name, got, ok)
		}
		for n := range min(len(b), 100) { // whole properties are valid again
			if got, ok := wire.ReadProperties(b[:n]); ok && string(got.Append(nil)) != string(b[:n]) {
				t.Errorf("%s: cut at %d: %+v", name, n, got)
			}
		}
	}
}

func TestPropsThatDoNotTravel(t *testing.T) {
	for name, props := range map[string]string{
		"topic alias":             "\x23\x00\x01",
		"expiry":                  "\x02\x00\x00\x00\x01",
		"subscription identifier": "\x0b\x01",
		"of CONNECT":              "\x11\x00\x00\x00\x01",
		"unknown":                 "\x7f\x00",
		"twice":                   "\x01\x01\x01\x01",
		"cut":                     "\x03\x00\x02a",
		"not UTF-8":               "\x03\x00\x01\xff",
		"a wildcard":              "\x08\x00\x01#",
	} {
		if wire.ValidProps([]byte(props)) {
			t.Errorf("%s: valid", name)
		}
		if p, ok := wire.ReadProperties([]byte(props)); ok {
			t.Errorf("%s: read as %+v", name, p)
		}
	}
}

func FuzzProperties(f *testing.F) {
	f.Add([]byte("\x01\x01\x03\x00\x02ct\x26\x00\x01k\x00\x01v"))
	f.Fuzz(func(t *testing.T, props []byte) {
		p, ok := wire.ReadProperties(props)
		if ok != wire.ValidProps(props) {
			t.Fatalf("% x: read %t", props, ok)
		}
		if b := p.Append(nil); ok && !wire.ValidProps(b) {
			t.Fatalf("% x: written as % x", props, b)
		}
	})
}
