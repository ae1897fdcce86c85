// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"edged/broker/authority"
)

// Config is what the broker may be told. Sizes are bytes. Defaults gives the values of an empty configuration.
type Config struct {
	Listen     []string   // "HOST:PORT", "tls://HOST:PORT", "ws://HOST:PORT/PATH", "wss://HOST:PORT/PATH", "unix:///PATH"
	Anonymous  bool       // clients without a user name are let in; only ever true while all of Listen is loopback or unix
	Durability Durability // when a QoS 1 or 2 publisher gets its acknowledgement
	TLS        TLS
	WS         WS
	Users      map[string]User // by name
	Limits     Limits
}

// TLS names the PEM files of the listeners tls and wss. They are read again at a reload.
type TLS struct {
	Cert, Key string
	ClientCA  string // "": clients show no certificate
}

// WS is about the listeners ws and wss.
type WS struct {
	Origins []string // let in besides the listener's own host names
}

// User is somebody who may come in by a name.
type User = authority.User

// Identity is an in-process client.
type Identity = authority.Identity

// Queue is how much an in-process client's session may be owed.
type Queue = authority.Queue

// Durability says when the publisher of a QoS 1 or 2 message gets its acknowledgement.
type Durability string

// The durabilities of SPEC "[broker] durability".
const (
	Disk   Durability = "disk"   // once fdatasync has returned
	Link   Durability = "link"   // once every persistent session has taken it, or soon after once on disk
	Memory Durability = "memory" // at once
)

// Limits bound what clients can make the broker hold. Each is enforced and counted.
type Limits struct {
	Clients                int           // connections from outside that have finished CONNECT
	Preauth                int           // connections that have not
	PreauthPerAddress      int           // of these, from one address other than loopback
	ConnectTimeout         time.Duration // from accept to a whole CONNECT
	Packet                 int           // bytes of one packet
	TopicLevels            int
	SubscriptionsPerClient int
	Retained               int // messages
	RetainedBytes          int
	Memory                 int64         // bytes that queues and the output of slow connections take in all
	SessionExpiry          time.Duration // the longest that a session outlives its connection
	SessionQueue           int64         // bytes owed to one persistent session; its oldest are dropped beyond
	Journal                int64         // bytes of the journal on disk
	MinFree                int64         // bytes of its file system that the journal leaves free
}

// Defaults is the configuration of an empty file.
func Defaults() Config {
	return Config{
		Listen:     []string{"127.0.0.1:1883"},
		Anonymous:  true,
		Durability: Disk,
		Limits: Limits{
			Clients: 1000, Preauth: 256, PreauthPerAddress: 32, ConnectTimeout: 10 * time.Second,
			Packet: 256 << 10, TopicLevels: 16, SubscriptionsPerClient: 256,
			Retained: 10000, RetainedBytes: 16 << 20, Memory: 64 << 20,
			SessionExpiry: 7 * 24 * time.Hour, SessionQueue: 64 << 20, Journal: 512 << 20, MinFree: 256 << 10,
		},
	}
}
