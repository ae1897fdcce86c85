// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"
)

// jsonDevice is a sensor that writes lines of JSON.
func jsonDevice(name string, y *tty) string {
	return fmt.Sprintf("[device.%s]\ndriver = \"line\"\nport = %q\nserial = \"115200 8N1\"\nformat = \"json\"\n", name, y.name)
}

func uplinkTo(port int) string {
	return fmt.Sprintf("[uplink]\nurl = \"mqtt://127.0.0.1:%d\"\n", port)
}

// opened waits until the gateway has opened the ports of all devices: what is written before is nobody's.
func opened(t *testing.T, e *edged, devices int) {
	t.Helper()
	eventually(t, 10*time.Second, "the ports are open", func() bool {
		out, _ := e.run(t, "status", "--json")
		var s struct {
			Devices []struct{ State, Code string }
		}
		if json.Unmarshal([]byte(out), &s) != nil || len(s.Devices) != devices {
			return false
		}
		for _, d := range s.Devices {
			if d.Code != "" && d.Code != "E106" {
				return false
			}
		}
		return true
	})
}

// stamped notes when each line was begun and ended.
type stamped struct{ begun, ended time.Time }

// slow is the line of each hundred that is written in two halves, far apart.
const slow = 99

// write sends count lines {"n":i} at the given pace.
func (y *tty) write(t *testing.T, from, count int, every time.Duration) []stamped {
	all := make([]stamped, count)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for i := range all {
		line := fmt.Appendf(nil, "{\"n\":%d}\n", from+i)
		all[i].begun = time.Now()
		if i%100 == slow {
			cut := 1 + i%(len(line)-1)
			y.send(t, line[:cut])
			pause(500 * time.Millisecond) // long enough for a busy machine to read the first half before the second
			line = line[cut:]
		}
		all[i].ended = time.Now()
		y.send(t, line)
		<-tick.C
	}
	return all
}

// inOrder checks that a topic's data counts 0, 1, 2, … in n, without a gap or a repeat, and so does seq.
func inOrder(t *testing.T, where string, got []message, count int) []datum {
	t.Helper()
	all := make([]datum, 0, count)
	for i, m := range got {
		d := data(t, m)
		if d.N == nil || *d.N != i || d.Seq != data(t, got[0]).Seq+uint64(i) {
			t.Fatalf("%s: message %d is %s", where, i, m.payload)
		}
		all = append(all, d)
	}
	if len(all) != count {
		t.Fatalf("%s: %d of %d came", where, len(all), count)
	}
	return all
}

func TestFourSensorsReachBothBrokersOnceAndInOrder(t *testing.T) {
	t.Parallel()
	const sensors, lines, perSecond = 4, 1000, 50
	cloud := newMosquitto(t)
	far := subscribe(t, cloud.port, "far", "edged/#")
	config := "[gateway]\nid = \"gw\"\n" + uplinkTo(cloud.port)
	var ttys [sensors]*tty
	for i := range ttys {
		ttys[i] = newTTY(t)
		config = jsonDevice(fmt.Sprint("s", i), ttys[i]) + config
	}
	e := gateway{config: config}.start(t)
	near := subscribe(t, e.port, "near", "edged/#")
	opened(t, e, sensors)
	var sent [sensors][]stamped
	var writers sync.WaitGroup
	for i, y := range ttys {
		writers.Go(func() { sent[i] = y.write(t, 0, lines, time.Second/perSecond) })
	}
	writers.Wait()
	for i := range ttys {
		topic := fmt.Sprintf("edged/gw/dev/s%d/data", i)
		for name, s := range map[string]*subscriber{"here": near, "in the cloud": far} {
			eventually(t, 10*time.Second, "all lines of "+topic+" are "+name, func() bool { return len(s.on(topic)) >= lines })
			for k, d := range inOrder(t, topic+" "+name, s.on(topic), lines) {
				begun, ended := sent[i][k].begun.Truncate(time.Millisecond), sent[i][k].ended
				if d.Time.Before(begun) || k%100 == slow && d.Time.After(ended) {
					t.Errorf("%s %s: line %d says %v; its first byte was written at %v, its last after %v", topic, name, k, d.Time, begun, ended)
				}
			}
		}
	}
}

// pmsFrames are real frames of a PMS5003 and the pm25 that they say (captures of avaldebe/PyPMS).
var pmsFrames = []struct {
	hex  string
	pm25 float64
}{
	{"424d001c0000000800080000000800080 0d20046002d001e00000000970002c5", 8},
	{"424d001c0000000700070000000700070 0bd003f002a001b000000009700029f", 7},
	{"424d001c0005000d00160005000d001602fd00fc001d000f00060006970003c5", 13},
}

func TestOnlyValidFramesArePublished(t *testing.T) {
	t.Parallel()
	y := newTTY(t)
	e := gateway{config: fmt.Sprintf("[gateway]\nid = \"gw\"\n[device.air]\ndriver = \"pms5003\"\nport = %q\n", y.name)}.start(t)
	near := subscribe(t, e.port, "near", "edged/#")
	opened(t, e, 1)
	rnd := rand.New(rand.NewPCG(1, 2))
	var wire []byte
	var want []float64
	bad, garbage := 0, 0
	for range 100 {
		f := pmsFrames[rnd.IntN(len(pmsFrames))]
		frame, err := hex.DecodeString(strings.ReplaceAll(f.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		for range rnd.IntN(20) { // no start byte in it, so that each byte of it is garbage and nothing else
			wire = append(wire, byte(rnd.IntN(0x40)))
			garbage++
		}
		if rnd.IntN(4) == 0 {
			broken := bytes.Clone(frame)
			broken[20] ^= 1
			wire = append(wire, broken...)
			bad++
			continue
		}
		wire = append(wire, frame...)
		want = append(want, f.pm25)
	}
	for len(wire) > 0 {
		n := min(len(wire), 1+rnd.IntN(45))
		y.send(t, wire[:n])
		wire = wire[n:]
		pause(time.Millisecond)
	}
	const topic = "edged/gw/dev/air/data"
	eventually(t, 10*time.Second, "the valid frames are published", func() bool { return len(near.on(topic)) >= len(want) })
	for i, m := range near.on(topic) {
		if d := data(t, m); i >= len(want) || d.PM25 == nil || *d.PM25 != want[i] {
			t.Fatalf("message %d is %s, want pm25 %v", i, m.payload, want[min(i, len(want)-1)])
		}
	}
	var h struct {
		Frames  int `json:"frames"`
		Bad     int `json:"bad_frames"`
		Garbage int `json:"garbage_bytes"`
	}
	out, _ := e.run(t, "status", "air", "--json")
	t.Logf("status: %s", out)
	y.unplug(t) // a change of state publishes health
	eventually(t, 10*time.Second, "health tells of the bad frames", func() bool {
		err := json.Unmarshal([]byte(near.last("edged/gw/dev/air/health")), &h)
		return err == nil && h.Frames == len(want)
	})
	if h.Bad != bad || h.Garbage < garbage {
		t.Errorf("health counts %d bad frames and %d bytes of garbage, want %d and at least %d", h.Bad, h.Garbage, bad, garbage)
	}
}

func TestUnpluggedDeviceIsOfflineAndComesBack(t *testing.T) {
	t.Parallel()
	gone, other := newTTY(t), newTTY(t)
	e := gateway{config: "[gateway]\nid = \"gw\"\n" + jsonDevice("gone", gone) + jsonDevice("other", other)}.start(t)
	near := subscribe(t, e.port, "near", "edged/#")
	opened(t, e, 2)
	stop := make(chan struct{})
	var feeding sync.WaitGroup
	feeding.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				other.send(t, fmt.Appendf(nil, "{\"n\":%d}\n", n))
			}
		}
	})
	status := func(dev string) string { return near.last("edged/gw/dev/" + dev + "/status") }
	gone.send(t, []byte("{\"n\":0}\n"))
	eventually(t, 5*time.Second, "both are online", func() bool { return status("gone") == "online" && status("other") == "online" })
	for n := range 5 {
		gone.unplug(t)
		eventually(t, 2*time.Second, "the unplugged device is offline", func() bool { return status("gone") == "offline" })
		eventually(t, 2*time.Second, "health gives the reason", func() bool {
			var h struct{ State, Code, Reason string }
			return json.Unmarshal([]byte(near.last("edged/gw/dev/gone/health")), &h) == nil &&
				h.State == "offline" && h.Code == "E101" && h.Reason != ""
		})
		gone.plug(t)
		since := time.Now()
		eventually(t, 2*time.Second, "the device that is back is online", func() bool {
			gone.send(t, fmt.Appendf(nil, "{\"n\":%d}\n", n+1)) // a sensor speaks when it has power
			return status("gone") == "online"
		})
		t.Logf("online %v after it was plugged in again", time.Since(since).Round(time.Millisecond))
	}
	close(stop)
	feeding.Wait()
	if all := near.on("edged/gw/dev/other/status"); len(all) == 0 || all[len(all)-1].payload != "online" || len(all) > 2 {
		t.Errorf("the other device's status changed too: %v", all)
	}
	got := near.on("edged/gw/dev/other/data")
	for i, m := range got {
		if d := data(t, m); d.N == nil || *d.N != i {
			t.Fatalf("the other device's message %d is %s", i, m.payload)
		}
	}
}
