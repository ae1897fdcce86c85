// SPDX-License-Identifier: Apache-2.0

package wire

import (
	"bytes"
	"encoding/binary"
	"math"
)

// Properties are those of MQTT 5 that travel with a message, see [Message].Props.
type Properties struct {
	IsText          bool // payload format indicator: the payload is UTF-8
	ContentType     string
	ResponseTopic   string
	CorrelationData []byte
	User            []UserProperty
}

// UserProperty is a name and a value; names may be repeated, and their order is kept.
type UserProperty struct{ Name, Value string }

// Properties that travel with a message.
const (
	propContentType   = 3
	propResponseTopic = 8
	propCorrelation   = 9
	propUser          = 38
)

// Append appends the properties as [Message].Props has them. Texts are UTF-8 of at most 65,535 bytes, see [ValidProps].
func (p *Properties) Append(b []byte) []byte {
	if p.IsText {
		b = append(b, propFormat, 1)
	}
	if p.ContentType != "" {
		b = appendField(append(b, propContentType), p.ContentType)
	}
	if p.ResponseTopic != "" {
		b = appendField(append(b, propResponseTopic), p.ResponseTopic)
	}
	if len(p.CorrelationData) > 0 {
		b = appendField(append(b, propCorrelation), string(p.CorrelationData))
	}
	for _, u := range p.User {
		b = appendField(appendField(append(b, propUser), u.Name), u.Value)
	}
	return b
}

// appendField appends two bytes of length and what they count; what is too long is left out.
func appendField(b []byte, s string) []byte {
	if len(s) > math.MaxUint16 {
		s = ""
	}
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// ValidProps says whether props may stand in [Message].Props: only what travels with a message, and each as it must be.
func ValidProps(props []byte) bool {
	return len(props) == 0 || scanProps(props, nil) == nil
}

// ReadProperties decodes [Message].Props; the result owns its bytes. ok is false where they are not valid.
func ReadProperties(props []byte) (p Properties, ok bool) {
	f := scanProps(props, func(id byte, value []byte) {
		switch id {
		case propFormat:
			p.IsText = value[0] == 1
		case propContentType:
			p.ContentType = string(value[2:])
		case propResponseTopic:
			p.ResponseTopic = string(value[2:])
		case propCorrelation:
			p.CorrelationData = bytes.Clone(value[2:])
		case propUser:
			n := 2 + int(binary.BigEndian.Uint16(value))
			p.User = append(p.User, UserProperty{string(value[2:n]), string(value[n+2:])})
		}
	})
	if f != nil {
		return Properties{}, false
	}
	return p, true
}

func scanProps(props []byte, see func(id byte, value []byte)) *Fault {
	return scanBlock(props, fromServer+Publish, func(id byte, raw []byte, _ uint32) *Fault {
		if id == propAlias || id == propExpiry || id == propSubID {
			return fault(ProtocolError, "a property that is of one connection")
		}
		if see != nil {
			see(id, raw[1:])
		}
		return nil
	})
}
