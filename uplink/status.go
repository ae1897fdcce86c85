// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"time"
)

// The states of the link.
const (
	Up      = "up"      // the cloud accepted our session
	Down    = "down"    // being tried again
	Refused = "refused" // the cloud does not want us (CONNACK 1, 2, 4, 5); tried again each 60 to 90 s
	Off     = "off"     // not running
)

// Status is how the link to the cloud is.
type Status struct {
	State          string        // Up, Down, Refused or Off
	Code           string        // "E301" … "E320"; "": nothing that has a code
	Text           string        // what is wrong and what to do; "" when all is well
	Server         string        // the address that is in use or was tried last
	LastAck        time.Time     // when the cloud acknowledged anything; zero: never
	SessionPresent bool          // the cloud had kept our session at the last CONNACK
	Reconnects     uint64        // sessions after the first
	ReconnectsBy   Ends          // these, by how the one before ended
	RoundTrip      time.Duration // of acknowledgements, smoothed; 0: not known
	Inflight       int           // messages that the local broker gave us and the cloud has not acknowledged
	Sent           uint64        // messages handed to the cloud's connection
	Received       uint64        // messages from the cloud that were let in
	Refusals       uint64        // messages from the cloud that were not let in
	Retained       uint64        // of these: retained commands (E406)
	Repeated       uint64        // commands that came again and were not executed again
	Discarded      uint64        // QoS 0 messages that came while they could not go
	Expired        uint64        // messages whose time ran out while they waited for the cloud (MQTT 5's message expiry)
	Delayed        uint64        // messages that the cloud did not take for the moment (0x97) and that went again
	Unsendable     uint64        // messages that no PUBLISH to the cloud can hold, or that it refused (E320)
}
