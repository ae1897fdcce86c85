// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt/wire"
	"edged/uplink"
)

// opens plays the opening of a session whose configuration has these filters, and returns the filters that were taken back.
func (a *actor) opens(connack string, filters []string, takesBack int) (old []string) {
	a.t.Helper()
	a.want(wire.Connect)
	a.send(connack)
	if len(filters) > 0 {
		_, body := split(a.want(wire.Subscribe))
		p, fault := wire.DecodeSubscribe(body, 4)
		if fault != nil {
			a.t.Fatal(fault)
		}
		var got []string
		for _, f := range p.Filters {
			got = append(got, f.Filter)
		}
		if !slices.Equal(got, filters) {
			a.t.Errorf("SUBSCRIBE to %q, want %q", got, filters)
		}
		a.send(string(wire.AppendSuback(nil, p.ID, bytes.Repeat([]byte{1}, len(filters)), 4)))
	}
	if takesBack > 0 {
		_, body := split(a.want(wire.Unsubscribe))
		p, fault := wire.DecodeUnsubscribe(body, 4)
		if fault != nil {
			a.t.Fatal(fault)
		}
		old = p.Filters
		a.send(ack(wire.Unsuback, p.ID))
	}
	a.online(0x8000)
	return old
}

// A session in the cloud lives longer than a configuration. What an earlier one received is taken back, once, over restarts
// and crashes; in a session that the cloud has forgotten there is nothing to take back.
func TestSubscriptionsOfAnEarlierConfigurationAreTakenBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subscriptions")
	th := newTheatre(t)
	run := func(t *testing.T, connack string, receive []string, takesBack int, old ...string) {
		t.Helper()
		cfg := config()
		cfg.Receive = receive
		th.t = t
		r := startWith(t, cfg, &localBroker{}, th.dial, func(d *uplink.Deps) { d.Subscriptions = file })
		a := th.accept()
		if got := a.opens(connack, receive, takesBack); !slices.Equal(got, old) {
			t.Errorf("UNSUBSCRIBE from %q, want %q", got, old)
		}
		synctest.Wait()
		a.close()
		a = th.accept() // once more, in the same process
		a.want(wire.Connect)
		a.send(again)
		a.online(0x8000)
		a.silence(10 * time.Second)
		a.close()
		r.end()
	}
	synctest.Test(t, func(t *testing.T) {
		th.dials = newTheatre(t).dials
		run(t, anew, []string{"a/set", "b/set", "c/set"}, 0)
		run(t, again, []string{"b/set"}, 1, "a/set", "c/set")
		run(t, again, []string{"b/set"}, 0)
		run(t, again, []string{}, 1, "b/set")
		run(t, again, []string{}, 0)
		run(t, anew, []string{"a/set"}, 0)
		run(t, anew, []string{"b/set"}, 0)
		run(t, again, []string{"b/set"}, 0)
		// Killed before SUBACK: the cloud may have done it.
		cfg := config()
		cfg.Receive = []string{"d/set"}
		r := startWith(t, cfg, &localBroker{}, th.dial, func(d *uplink.Deps) { d.Subscriptions = file })
		a := th.accept()
		a.want(wire.Connect)
		a.send(again)
		a.want(wire.Subscribe)
		r.stop()
		a.close()
		<-r.ended
		run(t, again, []string{"e/set"}, 1, "b/set", "d/set")
	})
}

// One address or another, the session may be the same.
func TestSubscriptionsAreTakenBackByAnotherAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "subscriptions")
	synctest.Test(t, func(t *testing.T) {
		th := newTheatre(t)
		for _, c := range []struct {
			url, connack string
			receive      []string
			old          []string
		}{
			{"mqtt://192.0.2.1", anew, []string{"a/set"}, nil},
			{"mqtt://192.0.2.2", again, []string{"b/set"}, []string{"a/set"}},
		} {
			cfg := config()
			cfg.URLs, cfg.Receive = []string{c.url}, c.receive
			r := startWith(t, cfg, &localBroker{}, th.dial, func(d *uplink.Deps) { d.Subscriptions = file })
			a := th.accept()
			if got := a.opens(c.connack, c.receive, len(c.old)); !slices.Equal(got, c.old) {
				t.Errorf("UNSUBSCRIBE from %q, want %q", got, c.old)
			}
			synctest.Wait()
			a.close()
			r.end()
		}
	})
}
