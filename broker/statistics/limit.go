// SPDX-License-Identifier: Apache-2.0

package statistics

// Limit is a bound that the broker sets to its clients.
type Limit int

// The limits of [broker.limits], then those that nobody sets.
const (
	Clients Limit = iota
	Preauth
	PreauthPerAddress
	ConnectTimeout
	Packet
	TopicLevels
	SubscriptionsPerClient
	Retained
	MemoryQoS0  // memory: messages of QoS 0 to slow readers are dropped
	MemoryState // memory: a subscription is refused
	MemoryShed  // memory: a connection is closed
	MemoryWait  // memory: who sends a large packet waits
	SessionExpiry
	SessionQueue
	Journal
	Sessions       // one is given up, or a client is not let in, since there are too many
	ReceiveMaximum // MQTT 5: more under way than we said
	HeldQoS2       // before MQTT 5: more identifiers held than we keep
	WriteStall     // a peer reads nothing
	Unkept         // a disk in trouble takes no more: a message from this process went to live subscribers alone
	limits
)

// String is the limit's key in the configuration, or a name in the same form.
func (l Limit) String() string {
	return [limits]string{
		"clients", "preauth", "preauth_per_address", "connect_timeout", "packet", "topic_levels", "subscriptions_per_client",
		"retained", "memory_qos0", "memory_state", "memory_shed", "memory_wait", "session_expiry", "session_queue", "journal",
		"sessions", "receive_maximum", "held_qos2", "write_stall", "unkept",
	}[l]
}
