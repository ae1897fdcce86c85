// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"edged/devices"
)

func ptr[T any](x T) *T { return &x }

// through sends numbers through one reading's stage; NaN stands for one that is dropped.
func through(r Reading, in ...float64) []float64 {
	p := newPipeline(Config{Readings: map[string]Reading{"x": r}})
	var out []float64
	for _, x := range in {
		rs, _ := p.transform([]devices.Reading{{Name: "x", Value: devices.Num(x)}})
		if len(rs) == 0 {
			out = append(out, math.NaN())
			continue
		}
		y, _ := rs[0].Value.Float()
		out = append(out, y)
	}
	return out
}

func TestStages(t *testing.T) {
	nan := math.NaN()
	table := [][2]float64{{0, 4}, {10, 5}, {20, 20}}
	for _, c := range []struct {
		name     string
		r        Reading
		in, want []float64
	}{
		{"nothing", Reading{}, []float64{1.5}, []float64{1.5}},
		{"scale", Reading{Scale: ptr(0.5)}, []float64{3}, []float64{1.5}},
		{"scale zero", Reading{Scale: ptr(0.0)}, []float64{3}, []float64{0}},
		{"scale, then offset", Reading{Scale: ptr(2.0), Offset: -0.5}, []float64{3}, []float64{5.5}},
		{"points", Reading{Points: table}, []float64{0, 5, 10, 15, 20}, []float64{4, 4.5, 5, 12.5, 20}},
		{"beyond the points", Reading{Points: table}, []float64{-10, 30}, []float64{3, 35}},
		{"scale, then points", Reading{Scale: ptr(10.0), Points: table}, []float64{1.5}, []float64{12.5}},
		{"median", Reading{Median: 3}, []float64{1, 100, 2, 3, -50}, []float64{1, 50.5, 2, 3, 2}},
		{"range", Reading{Min: ptr(0.0), Max: ptr(10.0)}, []float64{-0.1, 0, 10, 10.1}, []float64{nan, 0, 10, nan}},
		{"range of the real value", Reading{Offset: 100, Max: ptr(10.0)}, []float64{5}, []float64{nan}},
		{"median before range", Reading{Median: 3, Max: ptr(10.0)}, []float64{1, 2, 99, 3}, []float64{1, 1.5, 2, 3}},
		{"precision", Reading{Precision: ptr(1)}, []float64{1.25, -1.25, 1e300}, []float64{1.3, -1.3, 1e300}},
		{"precision 0", Reading{Precision: ptr(0)}, []float64{1.5, 0.2}, []float64{2, 0}},
		{"too large to be a number", Reading{Scale: ptr(1e300)}, []float64{1e300}, []float64{nan}},
		{"skip", Reading{Skip: true}, []float64{1}, []float64{nan}},
	} {
		got := through(c.r, c.in...)
		for i := range got {
			if math.IsNaN(c.want[i]) != math.IsNaN(got[i]) || !math.IsNaN(got[i]) && math.Abs(got[i]-c.want[i]) > 1e-9*max(1, math.Abs(c.want[i])) {
				t.Errorf("%s: %v, want %v", c.name, got, c.want)
				break
			}
		}
	}
}

func TestWhatIsPublished(t *testing.T) {
	dead := map[string]Reading{"x": {Deadband: 1}}
	for _, c := range []struct {
		name    string
		publish Publish
		r       map[string]Reading
		in      string // one sample each second: x, or x,y
		want    string // 1: published
	}{
		{"always", Publish{}, nil, "1 1 1 2", "1111"},
		{"on change", Publish{OnChange: true}, nil, "1 1 2 2 1", "10101"},
		{"on change of one of two", Publish{OnChange: true}, nil, "1,1 1,1 1,2 1,2", "1010"},
		{"on change with a heartbeat", Publish{OnChange: true, Heartbeat: 3 * time.Second}, nil, "1 1 1 1 1 1 1 2 2 2 2", "10010011001"},
		{"deadband", Publish{}, dead, "1 1.9 2 2.9 1.5 1 0", "1010011"},
		{"deadband creeping", Publish{OnChange: true}, dead, "0 0.5 0.9 1.0 1.5 2.0", "100101"},
		{"deadband of one of two", Publish{}, dead, "1,1 1,1 1,2", "111"},
		{"deadband of one of two, on change", Publish{OnChange: true}, dead, "1,1 1.5,1 1.5,2 3,2", "1011"},
		{"a new reading is a change", Publish{OnChange: true}, nil, "1 1,1 1", "110"},
		{"change that precision hides", Publish{OnChange: true}, map[string]Reading{"x": {Precision: ptr(0)}}, "1.1 1.2 1.6", "101"},
	} {
		p := newPipeline(Config{Publish: c.publish, Readings: c.r})
		at, got := time.Unix(0, 0), ""
		for s := range strings.FieldsSeq(c.in) {
			var rs []devices.Reading
			for i, v := range strings.Split(s, ",") {
				var x float64
				if _, err := fmt.Sscan(v, &x); err != nil {
					t.Fatal(err)
				}
				rs = append(rs, devices.Reading{Name: []string{"x", "y"}[i], Value: devices.Num(x)})
			}
			rs, _ = p.transform(rs)
			if p.pass(rs, at) {
				got += "1"
			} else {
				got += "0"
			}
			at = at.Add(time.Second)
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Whatever is configured and comes: what is published is a number within its range, what is suppressed is within the
// deadband of what was published last, and the order of readings stays.
func TestPipelineProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		r := Reading{Offset: rnd.Float64() - 0.5, Min: ptr(-5.0), Max: ptr(5.0), Median: 1 + 2*rnd.IntN(3)}
		if rnd.IntN(2) == 0 {
			r.Scale = ptr(rnd.Float64() * 4)
		}
		if rnd.IntN(2) == 0 {
			r.Deadband = rnd.Float64()
		}
		p := newPipeline(Config{Readings: map[string]Reading{"x": r}})
		last := math.NaN()
		for range 50 {
			rs, dropped := p.transform([]devices.Reading{{Name: "x", Value: devices.Num(rnd.NormFloat64() * 3)}, {Name: "y", Value: devices.Flag(true)}})
			if len(rs)+int(dropped) != 2 || rs[len(rs)-1].Name != "y" {
				t.Fatalf("%+v: %v and %d dropped", r, rs, dropped)
			}
			if dropped > 0 {
				continue
			}
			x, _ := rs[0].Value.Float()
			if x < -5 || x > 5 || math.IsNaN(x) {
				t.Fatalf("%+v: %v is out of range", r, x)
			}
			switch p.pass(rs[:1], time.Unix(0, 0)) {
			case true:
				last = x
			case false:
				if !(math.Abs(x-last) < r.Deadband) {
					t.Fatalf("%+v: %v was suppressed after %v", r, x, last)
				}
			}
		}
	}
}

func TestNamesOfData(t *testing.T) {
	p := newPipeline(Config{Readings: map[string]Reading{"a": {Rename: "b"}}})
	rs, _ := p.transform([]devices.Reading{{Name: "a", Value: devices.Num(1)}, {Name: "time", Value: devices.Str("t")}})
	if !p.pass(rs, time.Now()) || rs[0].Name != "b" || rs[1].Name != "time_" {
		t.Errorf("%v", rs)
	}
}

func TestDeviceThatMakesUpNamesCostsBoundedMemory(t *testing.T) {
	p := newPipeline(Config{Publish: Publish{OnChange: true}})
	for i := range 5 * maxNames {
		rs, _ := p.transform([]devices.Reading{{Name: fmt.Sprint("n", i), Value: devices.Num(1)}})
		if !p.pass(rs, time.Now()) {
			t.Fatal("a reading that was never seen is a change")
		}
	}
	if len(p.stages) > maxNames {
		t.Errorf("%d names are remembered", len(p.stages))
	}
}

func TestData(t *testing.T) {
	at := time.Date(2026, 11, 22, 15, 5, 9, 412_999_999, time.FixedZone("CET", 3600))
	rs := []devices.Reading{{Name: "temperature", Value: devices.Num(21.4)}, {Name: "humidity", Value: devices.Num(48)}}
	if got := string(appendData(nil, at, 88213, rs, -1)); got != `{"time":"2026-11-22T14:05:09.412Z","seq":88213,"temperature":21.4,"humidity":48}` {
		t.Error(got)
	}
	if got := string(appendData(nil, at, math.MaxUint64, nil, 1500*time.Millisecond)); got !=
		`{"time":"2026-11-22T14:05:09.412Z","seq":18446744073709551615,"clock":"unsynced","uptime_ms":1500}` {
		t.Error(got)
	}
}

func TestOutboxGivesUpTheOldestReadingsOnly(t *testing.T) {
	o := newOutbox(func() int { return 3 })
	var waits sync.WaitGroup
	for i := range 6 {
		it := item{data: true}
		it.Topic = fmt.Sprint(i)
		if i == 0 {
			it.done = make(chan struct{})
			waits.Go(func() { <-it.done })
		}
		o.push(it)
		if i == 1 {
			o.push(item{only: "status"})
		}
	}
	waits.Wait()
	var got []string
	for {
		i, ok := o.pop()
		if !ok {
			break
		}
		got = append(got, i.Topic+i.only)
	}
	if s := strings.Join(got, " "); s != "status 3 4 5" || o.givenUp() != 3 {
		t.Errorf("%q, %d given up", s, o.givenUp())
	}
}

func TestOutboxKeepsTheNewestOfAState(t *testing.T) {
	o := newOutbox(func() int { return 3 })
	for _, text := range []string{"online", "offline"} {
		i := item{only: "status"}
		i.Topic = text
		o.push(i)
		o.push(item{data: true})
	}
	first, _ := o.pop()
	second, _ := o.pop()
	if !first.data || second.Topic != "offline" {
		t.Errorf("%+v, %+v", first, second)
	}
}
