// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"testing"

	"edged/mqtt"
)

// A local connection that is another may use an identifier for another message while the one that bore it is still here: with
// live messages first, numbers under way lie far apart. Only the same message is a repeat.
func TestAnotherMessageUnderTheSameIdentifier(t *testing.T) {
	t.Parallel()
	w := newWindow()
	of := func(payload string) *entry {
		return &entry{id: 7, msg: mqtt.Message{Topic: "t", Payload: []byte(payload)}, d: &mqtt.Delivery{Message: mqtt.Message{QoS: 1}, ID: 7}}
	}
	old, again, other := of("old"), of("old"), of("other")
	for _, x := range []struct {
		e    *entry
		want fate
	}{{old, kept}, {again, repeated}, {other, kept}} {
		if what, _ := w.add(x.e); what != x.want {
			t.Errorf("%s: fate %d, want %d", x.e.msg.Payload, what, x.want)
		}
	}
	if d, _ := w.remove(old); d != again.d {
		t.Error("the old message is acknowledged on the connection that is gone")
	}
	if d, _ := w.remove(other); d != other.d || w.owed() != 0 || len(w.byID) != 0 {
		t.Errorf("left: %d owed, %d identifiers", w.owed(), len(w.byID))
	}
}
