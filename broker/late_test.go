// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"testing"

	"edged/mqtt/wire"
)

// A client may say that it has a message on another connection than it got it on, before it is sent again: then it is
// not, and QoS 2 comes once.
func TestAcknowledgementOnTheNextConnection(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	p := wire.ConnectPacket{Level: 5, ClientID: "p", SessionExpiry: 60}
	c := s.connect(p, false)
	c.subscribe(1, 2, "t")
	pub := s.clean("pub")
	for i, payload := range []string{"one", "two", "three"} {
		pub.publish("t", payload, byte(2-i%2), uint16(i+1))
		pub.want([]byte{wire.Pubrec, wire.Puback}[i%2])
	}
	one, two, three := c.wantMessage(), c.wantMessage(), c.wantMessage()
	c.drop()
	p.ReceiveMaximum = 1
	c = s.connect(p, true)
	if again := c.wantMessage(); again.payload != "one" || !again.dup {
		t.Fatalf("got %+v", again)
	}
	c.ack(wire.Pubrec, three.id)
	c.wantAck(wire.Pubrel, three.id)
	c.ack(wire.Puback, two.id)
	c.ack(wire.Pubcomp, three.id)
	c.ack(wire.Pubrec, one.id)
	c.wantAck(wire.Pubrel, one.id)
	c.ack(wire.Pubcomp, one.id)
	c.quiet()
	if st, _ := s.Session("p"); st.Messages != 0 {
		t.Errorf("still owed: %+v", st)
	}
	pub.publish("t", "four", 1, 9)
	c.wantPayload("four")
}
