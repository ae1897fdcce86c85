// SPDX-License-Identifier: Apache-2.0

// Package metrics writes figures of the gateway in the text format of Prometheus.
package metrics

import "time"

// Figures are what there is to tell at one moment. A nil pointer is a figure that is not known.
type Figures struct {
	Gateway, Version string
	Uptime           time.Duration
	Ready            bool
	Rejected         bool // an older configuration runs than the one that was written
	ClockBelieved    bool
	Problems         map[string]int // how many, by level
	Temperature      *float64       // °C, of the processor
	UnderVoltage     *bool

	Broker  Broker
	Journal Journal
	Disk    Disk
	Uplink  *Uplink // nil: no cloud
	Devices []Device
	Buses   []Bus
}

// Broker is what the broker holds, and what it has counted since the start.
type Broker struct {
	Clients, Sessions, Retained int
	RetainedBytes, Memory       int64
	Connections                 uint64            // taken in
	Received, Sent              Traffic           // from and to clients
	Dropped                     uint64            // messages that sessions gave up or lost
	Refused                     map[string]uint64 // by code: publications (E402, E406) and logins (E403)
	Limits                      map[string]uint64 // how often each limit was reached, by its name
}

// Traffic is what went in one direction.
type Traffic struct{ Messages, Bytes uint64 }

// Journal is the broker's log on disk.
type Journal struct {
	Bytes, Limit int64
	Written      uint64 // bytes since the start
	Writable     bool
	Alarms       []string // codes of what is wrong with it now
}

// Disk is what the state directory is on.
type Disk struct {
	Free, Size *uint64
	Written    *uint64  // bytes, by everybody, since the machine started
	LifeYears  *float64 // how long it lasts if it goes on like this
}

// Uplink is the link to the cloud.
type Uplink struct {
	Connected       bool
	LastAck         time.Time      // zero: never
	LastAckAge      *time.Duration // nil: never
	SessionPresent  bool
	Backlog         map[string]Backlog // by class
	Oldest          time.Duration      // age of the oldest that waits
	Inflight        int
	RoundTrip       time.Duration // 0: not known
	Sent, Received  uint64
	Reconnects      map[string]uint64 // by reason
	Dropped         map[string]uint64 // messages to the cloud, by reason
	CommandsRefused map[string]uint64 // messages from the cloud that were not let in, by reason
	QueueRefused    uint64            // messages to the cloud that were not taken because the queue was full
	Certificates    []Certificate     // no two with the same Owner and Name
}

// Certificate is one on which the link depends.
type Certificate struct {
	Owner, Name string // whose it is: "gateway" or "server"; and its subject
	End         time.Time
}

// Backlog is what waits for the cloud.
type Backlog struct {
	Messages uint64
	Bytes    int64
}

// Device is one device that is not disabled.
type Device struct {
	Name                string
	Online              bool
	Seen                time.Time // its last valid frame; zero: none yet
	Frames, BadFrames   uint64
	GarbageBytes        uint64
	OutOfRange, GivenUp uint64 // readings
	Published           uint64 // data messages

	Line *Line // nil: it has a port of its own
}
