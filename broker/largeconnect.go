// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"

	"edged/mqtt/wire"
)

// five begins what follows the length of a CONNECT of MQTT 5.
const five = "\x00\x04MQTT\x05"

// lengthMax is how many bytes the length of a packet takes at most.
const lengthMax = 4

// refuseLarge answers a CONNECT that is longer than it may be, of which p is the beginning. MQTT 5 has a reason for it
// (0x95); to a client of which the version is not known yet, or is an older one, nothing can be said.
func (c *conn) refuseLarge(p []byte) *wire.Fault {
	if p[0]>>4 == wire.Connect && bytes.Contains(p[:min(len(p), 1+lengthMax+len(five))], []byte(five)) {
		c.prepareToLinger()
		return c.reject(5, wire.RefusedUnavailable, wire.TooLarge)
	}
	return &wire.Fault{Code: wire.TooLarge, Text: "packet too large"}
}
