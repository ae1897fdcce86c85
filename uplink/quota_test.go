// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// A cloud whose quota is exceeded says "not now": what it said that of waits, with all that comes after it, and goes
// again in its order.
func TestQuotaExceeded(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		synctest.Test(t, func(t *testing.T) { quotaExceeded(t, qos) })
	}
}

func quotaExceeded(t *testing.T, qos byte) {
	refuse, cfg := byte(wire.Puback), five()
	cfg.QoS = qos
	if qos == 2 {
		refuse = wire.Pubrec
	}
	th, local := newTheatre(t), &localBroker{}
	r := start(t, cfg, local, th.dial)
	a := th.accept()
	a.open5(wire.ConnackPacket{})
	var ids []uint16
	for _, payload := range []string{"0", "1", "2"} {
		local.publish(dataA, payload, qos, false)
		ids = append(ids, a.published().ID)
	}
	wait := time.Second
	for range 3 {
		for _, id := range ids {
			a.send(ack5(refuse, id, 0x97))
		}
		began := time.Now()
		synctest.Wait()
		if s := r.up.Status(); s.State != uplink.Up || !strings.Contains(s.Text, "0x97") {
			t.Errorf("status %+v", s)
		}
		for i, payload := range []string{"0", "1", "2"} {
			if p := a.published(); p.ID != ids[i] || string(p.Payload) != payload {
				t.Errorf("got %q as %d again, want %q as %d", p.Payload, p.ID, payload, ids[i])
			}
		}
		if d := time.Since(began); d != wait {
			t.Errorf("sent again after %v, want %v", d, wait)
		}
		wait *= 2
	}
	for _, id := range ids {
		if qos == 2 {
			a.send(ack5(wire.Pubrec, id, 0))
			a.want(wire.Pubrel)
			a.send(ack5(wire.Pubcomp, id, 0))
			continue
		}
		a.send(ack5(wire.Puback, id, 0))
	}
	synctest.Wait()
	if s := r.up.Status(); s.Text != "" || s.Delayed != 9 || s.Unsendable != 0 {
		t.Errorf("status %+v", s)
	}
	a.close()
	r.end()
	r.check(t, []string{"0", "1", "2"})
}
