// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"reflect"
	"testing"

	"edged/broker"
	"edged/uplink"
)

func TestLossesByReason(t *testing.T) {
	g := newGaps()
	for _, x := range []broker.Gap{
		{ClientID: uplink.ClientID, Reason: "queue", Messages: 3},
		{ClientID: uplink.ClientID, Reason: "queue", Messages: 4, Topics: []broker.GapTopic{{Topic: "edged/gw/event", Messages: 4}}}, // told of by nobody, and lost all the same
		{ClientID: uplink.ClientID, Reason: "age", Messages: 1},
		{ClientID: uplink.ClientID, Reason: refused, Messages: 100},
		{ClientID: uplink.ClientID, Reason: unsendable, Messages: 100},
		{ClientID: "panel", Reason: "queue", Messages: 100},
	} {
		g.add(x)
	}
	want := map[string]uint64{"queue": 7, "journal": 0, "damage": 0, "age": 1, "disk": 0, "untold": 0, "qos0": 5, "expired": 6, "unsendable": 8}
	if got := g.lost.with(&uplink.Status{Discarded: 5, Expired: 6, Unsendable: 8}); !reflect.DeepEqual(got, want) {
		t.Errorf("the losses are %v, want %v", got, want)
	}
}
