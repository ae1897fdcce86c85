// SPDX-License-Identifier: Apache-2.0

package wire

// ResponseTopic finds the response topic among properties as [Message] has them. It is a view of them, nil without one.
func ResponseTopic(props []byte) []byte {
	for len(props) > 0 && int(props[0]) < len(properties) {
		l, _, f := valueOf(props[1:], properties[props[0]])
		switch {
		case f != nil:
			return nil
		case props[0] == propResponseTopic:
			return props[3 : 1+l]
		}
		props = props[1+l:]
	}
	return nil
}
