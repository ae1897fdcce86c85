// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"edged/broker"
	"edged/broker/journal"
	"edged/mqtt/wire"
)

// On a disk that is full, what this process itself publishes at QoS 1 reaches live subscribers and is not kept, which its
// PUBACK says; whoever is in another process waits.
func TestWhatIsInsideIsNotHeldByAFullDisk(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(s *site) { s.disk.SetLimit(journal.SegmentSize / 2) })
	owed := s.connect(away(), false)
	owed.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: 1, Filters: []wire.Subscription{{Filter: "t", QoS: 1}}}, 4))
	live, outside := s.clean("live"), s.connect(five("outside"), false)
	live.subscribe(1, 1, "t")
	eventually(t, "E601", func() bool { return s.Status().Alarms["E601"] != "" })
	nc, err := s.Dial(broker.Identity{ClientID: "edged-dev-air", Publish: []string{"t"}})
	if err != nil {
		t.Fatal(err)
	}
	in := newPeer(t, nc)
	in.connect(five("edged-dev-air"))
	in.publish("t", "inside", 1, 1)
	live.wantPayload("inside")
	if reason := in.wantAck(wire.Puback, 1); reason != wire.QuotaExceeded {
		t.Errorf("PUBACK with reason 0x%02x", reason)
	}
	in.quiet()
	outside.publish("t", "outside", 1, 1)
	live.quiet()
	s.wantHits("unkept", 1)
	s.disk.SetLimit(0)
	outside.wantAck(wire.Puback, 1)
	live.wantPayload("outside")
	in.publish("t", "again", 1, 2)
	if reason := in.wantAck(wire.Puback, 2); reason != 0 {
		t.Errorf("PUBACK with reason 0x%02x when there is space", reason)
	}
	live.wantPayload("again")
	owed.wantPayload("inside") // it is connected, and its SUBACK waits
	wantBeside(owed, wire.Suback, "outside", "again")
}

// wantBeside reads messages with these payloads, and a packet of another kind wherever it comes among them: a server may
// send what a subscription brings before its SUBACK (MQTT 3.1.1, 3.8.4).
func wantBeside(c *peer, kind byte, payloads ...string) {
	c.t.Helper()
	for seen := false; !seen || len(payloads) > 0; {
		h, body, err := c.packet(patience)
		switch {
		case err == nil && h>>4 == kind && !seen:
			seen = true
		case err == nil && h>>4 == wire.Publish && len(payloads) > 0 && c.read(h, body).payload == payloads[0]:
			c.ack(wire.Puback, c.read(h, body).id)
			payloads = payloads[1:]
		default:
			c.t.Fatalf("got packet type %d % .40x, %v; want type %d: %v, messages: %q", h>>4, body, err, kind, !seen, payloads)
		}
	}
}
