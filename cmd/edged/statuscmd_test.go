// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"edged/bridge"
	"edged/cmd/edged/gateway"
)

// Whatever the link's state is, the line tells when the cloud last acknowledged anything.
func TestCloudLineTellsTheLastAcknowledgement(t *testing.T) {
	at, age := time.Now(), 90.0
	for _, c := range []struct {
		name string
		is   gateway.Cloud
		want string
	}{
		{"none", gateway.Cloud{State: "off"}, "not configured"},
		{"connected, nothing acknowledged", gateway.Cloud{State: "up"}, "nothing acknowledged yet, nothing waits, 0 given up, 0 reconnects"},
		{"a working day", gateway.Cloud{
			State: "up", LastAck: &at, LastAckAgeS: &age, Backlog: bridge.Backlog{Messages: 12, Bytes: 3400, OldestS: 5, Classes: map[string]bridge.ClassBacklog{"event": {Messages: 2}, "readings": {Messages: 10}}},
			Dropped: 3, DroppedBy: map[string]uint64{"queue": 3, "qos0": 0}, Reconnects: 4, ReconnectsBy: map[string]uint64{"taken_over": 1, "dead": 3},
		}, "last acknowledged 90 s ago, 12 messages (3.4 kB) wait (event 2, readings 10), the oldest since 5.0 s, 3 given up (queue 3), 4 reconnects (dead 3, taken over 1)"},
	} {
		if got := cloudLine(c.is); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestDiskLine(t *testing.T) {
	written, years := uint64(2_500_000_000), 17.2
	d := &bridge.Disk{FreeBytes: 3_100_000_000, JournalBytes: 999, WrittenBytes: &written, LifeYears: &years}
	if got, want := diskLine(d), "3.1 GB free, journal wrote 999 B, all of this machine 2.5 GB, lasts about 17 years so"; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := diskLine(&bridge.Disk{}); strings.Contains(got, "lasts") || strings.Contains(got, "machine") {
		t.Errorf("what is not known is told: %s", got)
	}
}
