// SPDX-License-Identifier: Apache-2.0

package uplink_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/mqtt"
	"edged/mqtt/wire"
	"edged/uplink"
)

// A crash here is a local broker that dies with the process, at any packet, and a cloud that delivers what was not
// acknowledged again.
func TestEachCommandOnceWhateverDies(t *testing.T) {
	t.Parallel()
	for after := 1; after <= 24; after++ {
		t.Run(fmt.Sprint("after packet ", after), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { commandsOver(t, after) })
		})
	}
}

func commandsOver(t *testing.T, after int) {
	book := filepath.Join(t.TempDir(), "commands")
	with := func(d *uplink.Deps) { d.Commands = book }
	c := &cloud{version: 4, known: true, confirmed: map[uint16]int{}}
	for i := range 3 {
		c.commands = append(c.commands, wire.Message{Topic: setA, Payload: fmt.Appendf(nil, `{"x":%d,"id":"%d"}`, i, i), QoS: 1})
	}
	local := &localBroker{known: true, cutAfter: after}
	first := startWith(t, config(), local, c.dial, with)
	<-time.After(time.Second)
	local.mu.Lock()
	local.dead, local.cutAfter = true, 0 // with the process
	local.mu.Unlock()
	first.end()
	local.mu.Lock()
	local.dead = false
	local.mu.Unlock()
	second := startWith(t, config(), local, c.dial, with)
	<-time.After(time.Minute)
	second.end()
	third := startWith(t, config(), local, c.dial, with)
	<-time.After(time.Minute)
	third.end()

	_, _, got, faults := local.state()
	counts := map[string]int{}
	for _, m := range got {
		counts[string(m.Payload)]++
	}
	for i, m := range c.commands {
		if n := counts[string(m.Payload)]; n != 1 {
			t.Errorf("command %d came to the local broker %d times", i, n)
		}
		if c.confirmed[uint16(i+1)] == 0 {
			t.Errorf("command %d was never acknowledged to the cloud", i)
		}
	}
	if faults != nil || c.faults != nil {
		t.Errorf("faults: %v, %v", faults, c.faults)
	}
	if len(local.held) != 0 {
		t.Errorf("the local broker holds the identifiers %v for ever", local.held)
	}
}

func TestACommandThatComesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, local := newTheatre(t), &localBroker{deaf: true}
		r := start(t, config(), local, th.dial)
		a := th.accept()
		a.welcome(anew, true)
		a.online(0x8000)
		const one, two, bare = `{"on":1,"id":1}`, `{"on":1,"id":2}`, `{"on":1}`
		a.send(pub(2, setA, 7, one) + pub(2, setA, 8, bare))
		synctest.Wait()
		a.close()
		a = th.accept()
		a.welcome(again, false)
		a.online(0x8000)
		// While the local broker has not answered: by the identifier of the delivery, or by the command's own.
		a.send(pub(10, setA, 7, one) + pub(10, setA, 8, bare) + pub(2, setA, 9, one))
		a.silence(10 * time.Second)
		local.mu.Lock()
		local.deaf = false
		local.mu.Unlock()
		local.cut(false) // the next connection is answered
		for _, id := range []uint16{7, 9, 8} {
			a.exactly(ack(wire.Puback, id))
		}
		// Afterwards only by its own: another command may bear the identifier of an earlier delivery.
		a.send(pub(2, setA, 7, one))
		a.exactly(ack(wire.Puback, 7))
		a.send(pub(2, setA, 7, two) + pub(2, "edged/gw/dev/b/set", 8, one) + pub(2, setA, 9, bare))
		for _, id := range []uint16{7, 8, 9} {
			a.exactly(ack(wire.Puback, id))
		}
		synctest.Wait()
		_, _, got, _ := local.state()
		var have []string
		for _, m := range got {
			have = append(have, m.Topic[len("edged/gw/dev/"):]+string(m.Payload))
		}
		// The bare one was repeated to the local broker at QoS 1, which it cannot see: it did not answer the first.
		want := []string{"a/set" + one, "a/set" + bare, "a/set" + bare, "a/set" + two, "b/set" + one, "a/set" + bare}
		if fmt.Sprint(have) != fmt.Sprint(want) {
			t.Errorf("on the local broker\n%q, want\n%q", have, want)
		}
		if s := r.up.Status(); s.Repeated != 4 {
			t.Errorf("status %+v", s)
		}
		a.close()
		r.end()
	})
}

// What the cloud kept for us may be old; the device's bridge judges, so it is told.
func TestHowLongACommandMayHaveWaited(t *testing.T) {
	for _, c := range []struct {
		name  string
		alive time.Duration // before the start; 0: not known
		first string        // CONNACK
		away  time.Duration
		after time.Duration // the second CONNACK
		want  string        // how it begins
	}{
		{"an outage of two minutes", 0, anew, 2 * time.Minute, 0, "1"},
		{"one that came later", 0, anew, 2 * time.Minute, 6 * time.Second, ""},
		{"before this process", time.Hour, "", 0, 0, "3600"},
		{"before this process, and nobody knows", 0, "", 0, 0, "unknown"},
		{"a clock that was set back", -time.Hour, "", 0, 0, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				th, local := newTheatre(t), &localBroker{}
				r := startWith(t, config(), local, th.dial, func(d *uplink.Deps) {
					if c.alive != 0 {
						d.Alive = time.Now().Add(-c.alive)
					}
				})
				a := th.accept()
				if c.first != "" {
					a.welcome(anew, true)
					a.online(0x8000)
					a.close()
					time.Sleep(c.away)
					a = th.accept()
				}
				a.exactly(connect)
				a.send(again)
				time.Sleep(c.after)
				a.send(pub(2, setA, 7, "{}"))
				a.exactly(ack(wire.Puback, 7))
				_, _, got, _ := local.state()
				p, _ := mqtt.ReadProperties(got[0].Props)
				waited := ""
				for _, u := range p.User {
					if u.Name == "edged-waited" {
						waited = u.Value
					}
				}
				if !strings.HasPrefix(waited, c.want) || c.want == "" && waited != "" {
					t.Errorf("waited %q, want %q", waited, c.want)
				}
				a.close()
				r.end()
			})
		})
	}
}
