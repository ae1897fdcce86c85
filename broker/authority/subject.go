// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// subject is what a certificate must bear: attributes by the dotted form of their type, with all values of each, sorted.
//
// A certificate bears it when, for each type that is named, its own values are exactly these: CN=plc-7 is borne by
// whoever has that one common name, whatever organisation stands beside it, and CN=plc-7,O=Plant only within that one.
// Upper and lower case differ. Types that are not named do not count.
type subject struct {
	text   string
	values map[string][]string
}

// attributeTypes are the names that RFC 4514 and usual tools give to types.
func attributeTypes() map[string]string {
	return map[string]string{
		"CN": "2.5.4.3", "SN": "2.5.4.4", "SERIALNUMBER": "2.5.4.5", "C": "2.5.4.6", "L": "2.5.4.7", "ST": "2.5.4.8",
		"STREET": "2.5.4.9", "O": "2.5.4.10", "OU": "2.5.4.11", "GN": "2.5.4.42", "UID": "0.9.2342.19200300.100.1.1",
		"DC": "0.9.2342.19200300.100.1.25", "EMAILADDRESS": "1.2.840.113549.1.9.1",
	}
}

// commonName is the type that each subject must name: without it a whole organisation would be one user.
const commonName = "2.5.4.3"

// parseSubject reads a subject in the form of RFC 4514, as openssl x509 -subject -nameopt RFC2253 prints it.
func parseSubject(text string) (*subject, error) {
	s := &subject{text: text, values: map[string][]string{}}
	types := attributeTypes()
	for rest, more := text, true; more; {
		name, after, ok := strings.Cut(rest, "=")
		name = strings.TrimSpace(name)
		if !ok || name == "" {
			return nil, fmt.Errorf("%q is no subject: write NAME=VALUE, such as \"CN=plc-7\"", text)
		}
		oid, known := types[strings.ToUpper(name)]
		if !known {
			if oid = strings.TrimPrefix(strings.ToUpper(name), "OID."); !regexp.MustCompile(`^\d+(\.\d+)+$`).MatchString(oid) {
				return nil, fmt.Errorf("%q in %q is no attribute that is known: use CN, O, OU, C, L, ST, DC, UID, SERIALNUMBER or a dotted number", name, text)
			}
		}
		var value string
		var err error
		if value, rest, more, err = attributeValue(after); err != nil {
			return nil, fmt.Errorf("%q: %w", text, err)
		}
		s.values[oid] = append(s.values[oid], value)
	}
	if len(s.values[commonName]) == 0 {
		return nil, fmt.Errorf("%q names no CN: a subject without one would be borne by everybody's certificate", text)
	}
	for _, v := range s.values {
		slices.Sort(v)
	}
	return s, nil
}

// attributeValue reads the value at the head of s, up to a comma or plus sign that is not escaped (RFC 4514, 2.4).
func attributeValue(s string) (value, rest string, more bool, err error) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return "", "", false, fmt.Errorf("a value in hexadecimal BER is not known: write it as text")
	}
	var b strings.Builder
	kept := 0 // bytes of b that end in no unescaped space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == ',' || c == '+':
			rest, more = s[i+1:], true
			i = len(s)
		case c == '\\':
			raw, size := escaped(s[i+1:])
			if size == 0 {
				return "", "", false, fmt.Errorf("a backslash stands before none of the characters that it escapes")
			}
			b.WriteByte(raw)
			kept = b.Len()
			i += size
		case strings.IndexByte("\";<>\x00", c) >= 0:
			return "", "", false, fmt.Errorf("%q has to be written with a backslash before it", c)
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	if kept == 0 {
		return "", "", false, fmt.Errorf("an attribute has no value")
	}
	return b.String()[:kept], rest, more, nil
}

// escaped reads what follows a backslash: a special character, or two hexadecimal digits.
func escaped(s string) (c byte, size int) {
	if s != "" && strings.IndexByte(" #=+,;<>\"\\", s[0]) >= 0 {
		return s[0], 1
	}
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return b[0], 2
		}
	}
	return 0, 0
}

// isBorneBy tells whether a certificate, which is verified, bears the subject.
func (s *subject) isBorneBy(cert *x509.Certificate) bool {
	has := map[string][]string{}
	for _, a := range cert.Subject.Names {
		v, ok := a.Value.(string)
		if !ok {
			v = "\x00" // of a type that holds no text: equal to nothing
		}
		has[a.Type.String()] = append(has[a.Type.String()], v)
	}
	for oid, want := range s.values {
		got := has[oid]
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return false
		}
	}
	return true
}
