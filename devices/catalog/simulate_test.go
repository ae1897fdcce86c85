// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

// wire is a driver and its pretended device, connected.
type wire struct {
	*trial
	t    *testing.T
	name string
	sim  devices.Simulator
	now  time.Time
}

func connect(t *testing.T, name string, o devices.Options) *wire {
	t.Helper()
	d, ok := catalog.Get(name)
	if !ok {
		t.Fatalf("no driver %s", name)
	}
	sim, err := d.Simulate(o, 1)
	if err != nil {
		t.Fatal(err)
	}
	s := subject{name: name, driver: d, options: o}
	return &wire{s.begin(t), t, name, sim, start()}
}

// pass lets time go by and gives the samples of what the device sent by itself.
func (w *wire) pass(d time.Duration) []string {
	w.t.Helper()
	w.texts = nil
	for end := w.now.Add(d); ; {
		out, next := w.sim.Tick(w.now, nil)
		w.feed(w.now, out)
		if next.IsZero() || next.After(end) {
			w.now = end
			return w.texts
		}
		w.now = next
	}
}

// set sends a command and gives what was answered.
func (w *wire) set(name string, v devices.Value) (devices.Request, []string) {
	w.t.Helper()
	r, err := w.dec.(devices.Commander).Command(name, v)
	if err != nil {
		w.t.Fatalf("%s: %v", w.name, err)
	}
	w.texts = nil
	for _, b := range append([]byte{0xaa, 0x42}, r.Bytes...) { // noise before it
		w.feed(w.now, w.sim.Receive([]byte{b}, w.now, nil))
	}
	return r, w.texts
}

func (w *wire) expect(what string, got []string, want ...string) {
	w.t.Helper()
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: %s: %q, want %q", w.name, what, got, want)
	}
}

func TestCommandsAreObeyedAndReadBack(t *testing.T) {
	for name, words := range map[string][2]string{
		"pms5003": {"passive", "active"}, "pms5003t": {"passive", "active"}, "sds011": {"query", "active"}, "sds198": {"query", "active"},
	} {
		w := connect(t, name, devices.Options{})
		if got := w.pass(10 * time.Second); len(got) < 9 {
			t.Errorf("%s: %d samples in 10 s", name, len(got))
		}
		_, got := w.set("sleep", devices.Flag(true))
		w.expect("sleep", got, `sleep{"sleep":true}`)
		w.expect("asleep", w.pass(time.Minute))
		if _, got := w.set("mode", devices.Str(words[0])); len(got) > 0 {
			t.Errorf("%s answers in its sleep: %q", name, got)
		}
		r, got := w.set("sleep", devices.Flag(false))
		switch r.Expect {
		case devices.ExpectAnswer:
			w.expect("wake", got, `sleep{"sleep":false}`)
		default:
			w.expect("wake", got)
		}
		if got := w.pass(10 * time.Second); len(got) < 9 {
			t.Errorf("%s: %d samples in 10 s after waking", name, len(got))
		}
		_, got = w.set("mode", devices.Str(words[0]))
		w.expect("mode", got, `mode{"mode":"`+words[0]+`"}`)
		w.expect("when it is not asked", w.pass(time.Minute))
		ask, ok := w.dec.(devices.Asker).Next(0)
		if _, more := w.dec.(devices.Asker).Next(1); !ok || more || ask.Expect != devices.ExpectData || ask.Within <= 0 {
			t.Errorf("%s: a round of asking is not one request: %+v", name, ask)
		}
		w.texts = nil
		w.feed(w.now, w.sim.Receive(ask.Bytes, w.now, nil))
		if len(w.texts) != 1 || !strings.HasPrefix(w.texts[0], `{"pm`) {
			t.Errorf("%s: asked, it says %q", name, w.texts)
		}
		_, got = w.set("mode", devices.Str(words[1]))
		w.expect("mode", got, `mode{"mode":"`+words[1]+`"}`)
		if got := w.pass(10 * time.Second); len(got) < 9 {
			t.Errorf("%s: %d samples in 10 s after mode active", name, len(got))
		}
	}
}

func TestSDS011TellsBack(t *testing.T) {
	w := connect(t, "sds011", devices.Options{"address": "a160"})
	_, got := w.set("working_period", devices.Num(5))
	w.expect("working_period", got, `working_period{"working_period":5}`)
	r, got := w.set("firmware", devices.Flag(true))
	w.expect("firmware", got, `firmware{"firmware":"2015-07-10"}`)
	if r.Expect != devices.ExpectAnswer || r.Command != "firmware" || r.Within != time.Second {
		t.Errorf("firmware: %+v", r)
	}
	_, got = w.set("address", devices.Str("A001"))
	w.expect("address", got, `address{"address":"a001"}`)
}

func TestPMS5003ReadIsAnsweredByData(t *testing.T) {
	w := connect(t, "pms5003", devices.Options{})
	r, got := w.set("read", devices.Flag(true))
	if r.Expect != devices.ExpectData || len(got) != 1 || !strings.HasPrefix(got[0], `{"pm1_cf1":`) {
		t.Errorf("read: %+v, answered %q", r, got)
	}
	if r, _ := w.set("sleep", devices.Flag(false)); r.Expect != devices.ExpectNothing || r.Within != 0 {
		t.Errorf("waking is not answered, but the request is %+v", r)
	}
}

func TestCommandsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		driver, command string
		value           devices.Value
		want            string
	}{
		{"sds011", "slep", devices.Flag(true), `there is no command "slep"; possible: sleep, firmware, working_period, address, mode`},
		{"sds011", "sleep", devices.Str("true"), `sleep takes true or false, not "true"`},
		{"sds011", "sleep", devices.Num(1), `sleep takes true or false, not 1`},
		{"sds011", "firmware", devices.Flag(false), `firmware takes true, not false`},
		{"sds011", "working_period", devices.Num(31), `working_period takes a whole number from 0 to 30, not 31`},
		{"sds011", "working_period", devices.Num(1.5), `working_period takes a whole number from 0 to 30, not 1.5`},
		{"sds011", "working_period", devices.Num(-1), `working_period takes a whole number from 0 to 30, not -1`},
		{"sds011", "address", devices.Str("a0"), `address takes a string of 4 hexadecimal digits, not "a0"`},
		{"sds011", "address", devices.Str("xyzw"), `address takes a string of 4 hexadecimal digits, not "xyzw"`},
		{"sds011", "mode", devices.Str("passive"), `mode takes one of "active", "query", not "passive"`},
		{"pms5003", "mode", devices.Flag(true), `mode takes one of "active", "passive", not true`},
	} {
		w := connect(t, c.driver, devices.Options{})
		if _, err := w.dec.(devices.Commander).Command(c.command, c.value); err == nil || err.Error() != c.want {
			t.Errorf("%s: %s = %v: %v, want %s", c.driver, c.command, c.value, err, c.want)
		}
	}
}

func TestSimulatorsRepeatThemselvesBySeed(t *testing.T) {
	for _, s := range subjects(t) {
		play := func(seed uint64) []byte { return bytes.Join(simulated(t, s.driver, s.options, seed, 20), nil) }
		if !bytes.Equal(play(3), play(3)) {
			t.Errorf("%s: the same seed gives other bytes", s.name)
		}
		if bytes.Equal(play(3), play(4)) {
			t.Errorf("%s: another seed gives the same bytes", s.name)
		}
	}
}

// TestSimulatedValuesStayInRange runs a simulator for long and compares with what the driver promises.
func TestSimulatedValuesStayInRange(t *testing.T) {
	for _, d := range catalog.All() {
		if d.Readings == nil || onBus(d) || d.Sensor != nil {
			continue
		}
		w := connect(t, d.Name, devices.Options{})
		count, seen := 0, map[string]int{}
		w.dec.Feed(bytes.Join(simulated(t, d, devices.Options{}, 7, 1000), nil), start(), func(s devices.Sample) {
			count++
			for _, r := range s.Readings {
				seen[r.Name]++
				i := slices.IndexFunc(d.Readings, func(x devices.Info) bool { return x.Name == r.Name })
				x, _ := r.Value.Float()
				if info := d.Readings[i]; info.Min != nil && x < *info.Min || info.Max != nil && x > *info.Max {
					t.Fatalf("%s: %s = %v is out of range", d.Name, r.Name, x)
				}
			}
		})
		for _, r := range d.Readings {
			if count < 1000 || seen[r.Name] < 1000 && !r.Optional {
				t.Errorf("%s: %s is in %d of %d samples", d.Name, r.Name, seen[r.Name], count)
			}
		}
	}
}

func TestSilentCallerIsNotFlooded(t *testing.T) {
	w := connect(t, "sds011", devices.Options{})
	w.pass(time.Second)
	out, next := w.sim.Tick(w.now.Add(time.Hour), nil)
	if len(out) != 10 || !next.Equal(w.now.Add(time.Hour+time.Second)) {
		t.Errorf("after an hour: % x, next %v", out, next)
	}
}
