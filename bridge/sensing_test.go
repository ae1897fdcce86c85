// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/devices"
)

// bench is a made-up sensor that the test holds.
type bench struct {
	mu     sync.Mutex
	value  float64
	tries  int
	opens  int
	closes int
	fails  error         // of opening and reading
	hangs  chan struct{} // reading waits for it; nil: it does not
	panics bool
	edges  chan devices.Edge
}

// driver is one of a sensor that is read each ten seconds.
func (f *bench) driver() *devices.Driver {
	low, high := 0.0, 10.0
	return &devices.Driver{
		Name: "bench", Title: "A sensor on a bench", Every: 10 * time.Second,
		Readings: []devices.Info{{Name: "level", Unit: "V", Class: "voltage", Kind: devices.Number, Text: "level"}},
		Commands: []devices.CommandInfo{{Name: "level", Kind: devices.KindNumber, Min: &low, Max: &high, Answered: true, Text: "set it"}},
		Sensor: &devices.Opening{
			Open: func(devices.Options, devices.Machine) (devices.Sensor, error) {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.tries++
				if f.fails != nil {
					return nil, f.fails
				}
				f.opens++
				return f, nil
			},
			Pretend: func(_ devices.Options, _ uint64, m devices.Machine) devices.Machine { return m },
			Place:   func(devices.Options) string { return "bench-1" },
		},
	}
}

// eventDriver is one of a sensor that tells by itself.
func (f *bench) eventDriver() *devices.Driver {
	d := f.driver()
	d.Every, d.Event = 0, true
	open := d.Sensor.Open
	d.Sensor.Open = func(o devices.Options, m devices.Machine) (devices.Sensor, error) {
		_, err := open(o, m)
		if err != nil {
			return nil, err
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		f.edges = make(chan devices.Edge)
		return &eventful{f, f.edges, make(chan struct{})}, err
	}
	return d
}

func (f *bench) Read(emit func(devices.Sample)) error {
	f.mu.Lock()
	fails, hangs, panics, v := f.fails, f.hangs, f.panics, f.value
	f.mu.Unlock()
	if hangs != nil {
		<-hangs
	}
	if panics {
		panic("a mistake in the driver")
	}
	if fails != nil {
		return fails
	}
	emit(devices.Sample{Readings: []devices.Reading{{Name: "level", Value: devices.Num(v)}}})
	return nil
}

func (f *bench) Set(_ string, v devices.Value) ([]devices.Reading, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	x, _ := v.Float()
	if x == 7 {
		return nil, errors.New("seven is not for it")
	}
	f.value = x
	return []devices.Reading{{Name: "level", Value: devices.Num(x)}}, f.fails
}

func (f *bench) Close() error { f.mu.Lock(); defer f.mu.Unlock(); f.closes++; return nil }

func (f *bench) tried() int { f.mu.Lock(); defer f.mu.Unlock(); return f.tries }

func (f *bench) change(g func()) { f.mu.Lock(); defer f.mu.Unlock(); g() }

type eventful struct {
	*bench
	edges  chan devices.Edge
	closed chan struct{}
}

func (e *eventful) Next() (devices.Edge, error) {
	select {
	case x, ok := <-e.edges:
		if !ok {
			return x, &devices.Trouble{Code: devices.Absent, Text: "the line is gone"}
		}
		return x, nil
	case <-e.closed:
		return devices.Edge{}, io.EOF
	}
}

func (e *eventful) Edge(x devices.Edge, emit func(devices.Sample)) {
	v := 0.0
	if x.Active {
		v = 1
	}
	emit(devices.Sample{At: x.At, Readings: []devices.Reading{{Name: "level", Value: devices.Num(v)}}})
}

func (e *eventful) Close() error { close(e.closed); return e.bench.Close() }

// onBench runs a test in virtual time with a running bridge of a sensor.
func onBench(t *testing.T, f *bench, drv *devices.Driver, test func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := bridge.Defaults()
		c.Name, c.Driver = "dev", "bench"
		r := setUp(t, c, drv, nil)
		r.run()
		defer func() {
			r.halt()
			if f.opens != f.closes {
				t.Errorf("%d times opened, %d times closed", f.opens, f.closes)
			}
		}()
		test(t, r)
	})
}

func (r *rig) wantState(state, code string) {
	r.t.Helper()
	if s := r.bridge.Status(); s.State != state || s.Code != code {
		r.t.Errorf("the device is %s %q (%s), want %s %q", s.State, s.Code, s.Reason, state, code)
	}
}

func TestSensorIsReadAtItsPeriod(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		r.wantState("online", "")
		if s := r.bridge.Status(); s.Port != "bench-1" {
			t.Errorf("its place is %q", s.Port)
		}
		f.change(func() { f.value = 4 })
		r.sleep(25 * time.Second)
		r.want("data",
			`{"time":"2000-01-01T00:00:00.000Z","seq":1,"level":3}`,
			`{"time":"2000-01-01T00:00:10.000Z","seq":2,"level":4}`,
			`{"time":"2000-01-01T00:00:20.000Z","seq":3,"level":4}`)
		if d := r.broker.last(r.topic("meta")); !strings.Contains(d, `"level":{"unit":"V","class":"voltage"}`) || !strings.Contains(d, `"stale_after":"30s"`) {
			t.Errorf("meta: %s", d)
		}
	})
}

func TestSensorThatFailsOnceStaysOnline(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		f.change(func() { f.fails = &devices.Trouble{Code: devices.Silent, Text: "nobody answers"} })
		r.sleep(15 * time.Second)
		r.wantState("online", "")
		f.change(func() { f.fails = nil })
		r.sleep(6 * time.Second)
		r.wantState("online", "")
		if s := r.bridge.Status(); s.BadFrames == 0 || s.Frames < 2 {
			t.Errorf("%d bad, %d good", s.BadFrames, s.Frames)
		}
	})
}

func TestSensorThatStaysSilentIsOffline(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		f.change(func() {
			f.fails = &devices.Trouble{Code: devices.Silent, Text: "nobody answers", Do: "look at the wires"}
		})
		r.sleep(time.Minute)
		r.wantState("offline", devices.Silent)
		if s := r.bridge.Status(); s.Reason != "nobody answers: look at the wires" {
			t.Errorf("the reason is %q", s.Reason)
		}
		tries := f.tried()
		r.sleep(time.Minute)
		if n := f.tried() - tries; n < 11 || n > 25 {
			t.Errorf("%d tries in a minute, want one each 5 s or a little less", n)
		}
		f.change(func() { f.fails = nil })
		r.sleep(5 * time.Second)
		r.wantState("online", "")
	})
}

func TestSensorWhoseBusIsGoneIsOfflineAtOnce(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		f.change(func() { f.fails = &devices.Trouble{Code: devices.Absent, Text: "no bus"} })
		r.sleep(11 * time.Second)
		r.wantState("offline", devices.Absent)
	})
}

func TestSensorThatHangsIsStale(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		hang := make(chan struct{})
		f.change(func() { f.hangs = hang })
		r.sleep(41 * time.Second)
		r.wantState("offline", bridge.Stale)
		f.change(func() { f.hangs = nil })
		close(hang)
		r.sleep(time.Second)
		r.wantState("online", "")
	})
}

func TestSensorThatPanicsIsStartedAgain(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		f.change(func() { f.panics = true })
		r.sleep(11 * time.Second)
		if r.status() != "offline" {
			t.Errorf("status %s after a panic", r.status())
		}
		f.change(func() { f.panics = false })
		r.sleep(time.Minute)
		r.wantState("online", "")
	})
}

func TestSensorTakesCommands(t *testing.T) {
	f := &bench{value: 3}
	onBench(t, f, f.driver(), func(t *testing.T, r *rig) {
		for _, c := range []string{`{"level":5,"id":1}`, `{"level":7,"id":2}`, `{"level":11,"id":3}`} {
			r.broker.send(r.topic("set"), c, false)
			synctest.Wait()
		}
		f.change(func() { f.fails = &devices.Trouble{Code: devices.Silent, Text: "nobody answers"} })
		r.broker.send(r.topic("set"), `{"level":6,"id":4}`, false)
		synctest.Wait()
		r.broker.send(r.topic("set"), `{"level":6,"id":5}`, false)
		synctest.Wait()
		r.want("result",
			`{"id":1,"ok":true,"readings":{"level":5}}`,
			`{"id":2,"ok":false,"text":"level: seven is not for it"}`,
			`{"id":3,"ok":false,"text":"level: 11 is not in 0 to 10"}`,
			`{"id":4,"ok":false,"code":"E106","text":"nobody answers","readings":{"level":6}}`,
			`{"id":5,"ok":false,"code":"E106","text":"nobody answers"}`)
		if got := r.broker.last(r.topic("data")); !strings.HasSuffix(got, `"level":5}`) {
			t.Errorf("after the command, data is %s", got)
		}
	})
}

func TestSensorTellsByItself(t *testing.T) {
	f := &bench{}
	onBench(t, f, f.eventDriver(), func(t *testing.T, r *rig) {
		r.wantState("online", "")
		at := time.Now().Add(-3 * time.Millisecond)
		f.edges <- devices.Edge{At: at, Active: true, Lost: 2}
		synctest.Wait()
		r.want("data",
			`{"time":"2000-01-01T00:00:00.000Z","seq":1,"level":0}`,
			`{"time":"1999-12-31T23:59:59.997Z","seq":2,"level":1}`)
		if s := r.bridge.Status(); s.BadFrames != 2 {
			t.Errorf("%d counted as bad, want the 2 edges that were lost", s.BadFrames)
		}
		r.sleep(24 * time.Hour)
		r.wantState("online", "")
		f.change(func() { f.fails = &devices.Trouble{Code: devices.Absent, Text: "no line"} })
		close(f.edges)
		synctest.Wait()
		r.wantState("offline", devices.Absent)
		f.change(func() { f.fails = nil })
		r.sleep(6 * time.Second)
		r.wantState("online", "")
	})
}

func TestSensorStopsWhileItWaits(t *testing.T) {
	f := &bench{value: 3}
	d := f.driver()
	open := d.Sensor.Open
	d.Sensor.Open = func(o devices.Options, m devices.Machine) (devices.Sensor, error) {
		s, err := open(o, m)
		return slow{s, m}, err
	}
	onBench(t, f, d, func(t *testing.T, r *rig) {
		begun := time.Now()
		r.end()
		if d := time.Since(begun); d > 0 {
			t.Errorf("stopping took %v", d)
		}
		r.run()
	})
}

// slow waits an hour before it reads.
type slow struct {
	devices.Sensor
	m devices.Machine
}

func (s slow) Read(emit func(devices.Sample)) error {
	if err := s.m.Wait(time.Hour); err != nil {
		return err
	}
	return s.Sensor.Read(emit)
}
