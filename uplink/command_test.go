// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
)

func TestCommands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := config()
		cfg.Prefix = "p/"
		th, local := newTheatre(t), &localBroker{}
		r := start(t, cfg, local, th.dial)
		synctest.Wait()
		a := th.accept()
		a.want(wire.Connect)
		a.send(anew)
		a.want(wire.Subscribe)
		a.send(suback)
		a.want(wire.Publish)
		a.send(ack(wire.Puback, 0x8000))

		a.send(pub(2, "p/"+setA, 7, `{"interval":5}`))
		a.exactly(ack(wire.Puback, 7))
		_, _, got, _ := local.state()
		if len(got) != 1 || got[0].Topic != setA || string(got[0].Payload) != `{"interval":5}` || got[0].QoS != 1 || got[0].Retain {
			t.Errorf("published on the local broker: %+v", got)
		}
		for _, refused := range []string{
			pub(3, "p/"+setA, 8, "retained"), pub(2, setA, 8, "without prefix"), pub(2, "p/"+dataA, 8, "not asked for"),
		} {
			a.send(refused)
			a.exactly(ack(wire.Puback, 8)) // else the cloud would deliver it for ever
		}
		a.send(pub(0, "p/"+setA, 0, "QoS 0"))
		synctest.Wait()
		if _, _, got, _ := local.state(); len(got) != 2 || string(got[1].Payload) != "QoS 0" {
			t.Errorf("published on the local broker: %+v", got)
		}
		if s := r.up.Status(); s.Received != 2 || s.Refusals != 3 || s.Retained != 1 {
			t.Errorf("status %+v", s)
		}
		a.close()
		r.end()
		r.check(t, nil)
	})
}

func TestACommandIsAcknowledgedOnlyOnceTheLocalBrokerHasIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{deaf: true}
		r := start(t, config(), local, th.dial)
		a := th.accept()
		a.welcome(anew, true)
		a.online(0x8000)
		synctest.Wait()
		a.send(pub(2, setA, 7, "x"))
		a.silence(time.Minute / 2)
		local.mu.Lock()
		if len(local.published) != 1 {
			t.Errorf("published on the local broker: %+v", local.published)
		}
		local.deaf = false
		local.mu.Unlock()
		local.cut(false) // the next connection is answered
		a.exactly(ack(wire.Puback, 7))
		a.close()
		r.end()
	})
}

func TestARefusedSubscriptionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		r := start(t, config(), &localBroker{}, th.dial)
		a := th.accept()
		a.exactly(connect)
		a.send(anew)
		a.exactly(subscribe)
		a.send("\x90\x03\xff\xff\x80")
		a.online(0x8000)
		synctest.Wait()
		if s := r.up.Status(); s.State != "up" || s.Code != "E320" {
			t.Errorf("status %+v", s)
		}
		a.close()
		a = th.accept()
		a.welcome(again, true) // asked again although the cloud has the session
		a.online(0x8000)
		synctest.Wait()
		if s := r.up.Status(); s.State != "up" || s.Code != "" {
			t.Errorf("status %+v", s)
		}
		a.close()
		r.end()
	})
}
