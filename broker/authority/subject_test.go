// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

func attr(oid asn1.ObjectIdentifier, v any) pkix.AttributeTypeAndValue {
	return pkix.AttributeTypeAndValue{Type: oid, Value: v}
}

func TestSubject(t *testing.T) {
	t.Parallel()
	cn, o, ou := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 10}, asn1.ObjectIdentifier{2, 5, 4, 11}
	plc := []pkix.AttributeTypeAndValue{attr(o, "Plant, Inc."), attr(ou, "b"), attr(ou, "a"), attr(cn, "plc-7")}
	for _, x := range []struct {
		text string
		cert []pkix.AttributeTypeAndValue
		want bool
	}{
		{"CN=plc-7", plc, true},
		{"cn = plc-7 ", plc, true},
		{"2.5.4.3=plc-7", plc, true},
		{"OID.2.5.4.3=plc-7", plc, true},
		{"CN=plc\\2d7", plc, true},
		{"CN=plc-7,O=Plant\\, Inc.", plc, true},
		{"O=Plant\\, Inc.+CN=plc-7", plc, true},
		{"CN=plc-7,OU=a,OU=b", plc, true},
		{"CN=plc-7,OU=a", plc, false},
		{"CN=plc-7,OU=a,OU=a", plc, false},
		{"CN=plc-7,L=Ulm", plc, false},
		{"CN=PLC-7", plc, false},
		{"CN=plc-77", plc, false},
		{"CN=plc-7\\ ", plc, false},
		{"CN=plc-7", append(plc, attr(cn, "root")), false}, // two common names: neither is believed
		{"CN=plc-7", []pkix.AttributeTypeAndValue{attr(o, "plc-7")}, false},
		{"CN=plc-7", nil, false},
		{"CN=7", []pkix.AttributeTypeAndValue{attr(cn, 7)}, false},
		{"CN=plc-7", []pkix.AttributeTypeAndValue{attr(cn, "plc-7\x00.evil")}, false},
		{"CN=plc-7", []pkix.AttributeTypeAndValue{attr(cn, "plc-7,O=Plant")}, false},
	} {
		s, err := parseSubject(x.text)
		if err != nil {
			t.Errorf("%q: %v", x.text, err)
			continue
		}
		cert := &x509.Certificate{Subject: pkix.Name{Names: x.cert}}
		if got := s.isBorneBy(cert); got != x.want {
			t.Errorf("%q and %v: %v, want %v", x.text, x.cert, got, x.want)
		}
	}
	for _, text := range []string{
		"", "plc-7", "=plc-7", "CN=", "CN= ", "CN=a,", "CN=a,b", "O=Plant", "X=a", "CN=#0403", "CN=a\\", "CN=a\\q", "CN=\"a\"", "CN=a;O=b", "2.5=a,CN",
	} {
		if s, err := parseSubject(text); err == nil {
			t.Errorf("%q is taken: %v", text, s.values)
		}
	}
}

// FuzzSubject: no text makes the parser panic, and what it takes names a common name with a value.
func FuzzSubject(f *testing.F) {
	for _, text := range []string{"CN=plc-7", "CN=a\\, b+O=c", "2.5.4.3=x", "CN=\\41", "CN=a,", "\\"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSubject(text)
		if err == nil && (len(s.values[commonName]) == 0 || s.values[commonName][0] == "") {
			t.Fatalf("%q: %v", text, s.values)
		}
	})
}
