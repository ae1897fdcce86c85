// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
)

// health is what is published on health.
type health struct {
	State, Code, Reason string
	Since               time.Time
	Frames              uint64
	BadFrames           uint64     `json:"bad_frames"`
	GarbageBytes        uint64     `json:"garbage_bytes"`
	LastFrame           *time.Time `json:"last_frame"`
}

func (r *rig) health() health {
	r.t.Helper()
	var h health
	if err := json.Unmarshal([]byte(r.broker.last(r.topic("health"))), &h); err != nil {
		r.t.Errorf("health %q: %v", r.broker.last(r.topic("health")), err)
	}
	return h
}

func TestReadingsBecomeData(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.send(`{"temperature":21.4,`)
		r.sleep(1500 * time.Millisecond)
		r.send(`"humidity":48,"id":"x"}` + "\n" + `{"open":true}` + "\n")
		r.want("data",
			`{"time":"2000-01-01T00:00:00.000Z","seq":1,"temperature":21.4,"humidity":48,"id_":"x"}`,
			`{"time":"2000-01-01T00:00:01.500Z","seq":2,"open":true}`)
		if m, _ := r.broker.keeps(r.topic("data")); !strings.Contains(m, `"seq":2`) {
			t.Errorf("retained is %q", m)
		}
		s := r.bridge.Status()
		if s.State != "online" || s.Code != "" || s.Frames != 2 || s.Seen == nil || s.Readings["temperature"].String() != "21.4" {
			t.Errorf("status %+v", s)
		}
	})
}

func TestPresence(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.sleep(time.Second)
		if h := r.health(); r.status() != "offline" || h.State != "offline" || h.Code != "E106" {
			t.Errorf("open and silent: status %q, health %+v", r.status(), h)
		}
		r.send("{\"n\":1}\n")
		if r.status() != "online" {
			t.Errorf("after a valid line: %q", r.status())
		}
		r.sleep(time.Second)
		if h := r.health(); h.State != "online" || h.Code != "" || h.Frames != 1 || h.LastFrame == nil {
			t.Errorf("health %+v", h)
		}
		r.ports.fail("E101")
		r.ports.wire().unplug()
		synctest.Wait()
		if r.status() != "offline" {
			t.Errorf("unplugged: %q", r.status())
		}
		r.sleep(time.Second)
		if h := r.health(); h.State != "offline" || h.Code != "E101" || h.Reason == "" {
			t.Errorf("unplugged: health %+v", h)
		}
		r.sleep(time.Minute)
		r.ports.plug()
		r.sleep(time.Second)
		synctest.Wait()
		r.send("{\"n\":2}\n")
		if r.status() != "online" {
			t.Errorf("plugged in again: %q", r.status())
		}
		if got := r.broker.on(r.topic("status")); !slices.Equal(got, []string{"offline", "online", "offline", "online"}) {
			t.Errorf("all of status: %q", got)
		}
		var codes []string
		for _, e := range r.events {
			codes = append(codes, e.Code+" "+e.Device)
		}
		if !slices.Equal(codes, []string{"E101 dev"}) {
			t.Errorf("events %q", codes)
		}
	})
}

func TestOrderlyStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, jsonLines(), nil, nil)
		r.run()
		for i := range 20 {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
		}
		begun := time.Now()
		r.halt()
		if got := r.broker.topics("/status", "/data"); got[len(got)-1] != "status offline" || len(got) != 23 {
			t.Errorf("published %q", got)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestStopWaitsForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, jsonLines(), nil, nil)
		r.run()
		r.send("{\"n\":0}\n")
		r.broker.hold(true)
		for i := range 300 {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
		}
		begun := time.Now()
		r.halt()
		if took := time.Since(begun); took > 3*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if r.status() != "offline" { // by its will, since the broker took nothing any more
			t.Errorf("status %q", r.status())
		}
	})
}

func TestHealthAtMostOnceASecondAndEachMinute(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.ports.fail("E101")
		r.ports.wire().unplug()
		for i := range 40 { // another code five times a second
			r.ports.fail([]string{"E103", "E101"}[i%2])
			r.ports.wake()
			r.sleep(200 * time.Millisecond)
		}
		r.broker.mu.Lock()
		var at []time.Time
		for _, m := range r.broker.log {
			if m.topic == r.topic("health") {
				at = append(at, m.at)
			}
		}
		r.broker.mu.Unlock()
		for i := 1; i < len(at); i++ {
			if at[i].Sub(at[i-1]) < time.Second {
				t.Errorf("health %v after health", at[i].Sub(at[i-1]))
			}
		}
		if len(at) < 5 {
			t.Errorf("only %d health messages in 8 s", len(at))
		}
		r.ports.fail("E103")
		r.sleep(5 * time.Second)
		before := len(r.broker.on(r.topic("health")))
		r.sleep(5 * time.Minute)
		if n := len(r.broker.on(r.topic("health"))) - before; n < 4 || n > 6 {
			t.Errorf("%d health messages in 5 quiet minutes", n)
		}
	})
}

func TestAbsentPortsAreLookedForEachSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, jsonLines(), nil, nil)
		r.ports.fail("E101")
		r.run()
		r.sleep(5 * time.Minute)
		opens := r.ports.opened()
		for i := 1; i < len(opens); i++ {
			if gap := opens[i].Sub(opens[i-1]); gap > time.Second {
				t.Errorf("a gap of %v", gap)
			}
		}
		if len(opens) > 700 {
			t.Errorf("%d opens in 5 minutes", len(opens))
		}
		before := len(opens)
		r.ports.plug()
		r.ports.wake()
		synctest.Wait()
		if len(r.ports.opened()) != before+1 {
			t.Error("the event woke nobody")
		}
		r.halt()
	})
}

func TestCodesOfDevicesThatGiveNothing(t *testing.T) {
	sds := bridge.Defaults()
	sds.Name, sds.Driver, sds.Port = "dev", "sds011", "/dev/fake"
	event := jsonLines()
	event.StaleAfter = -1
	const frame = "\xaa\xc0\x06\x00\x06\x00\x58\xd9\x3d\xab"
	for _, c := range []struct {
		name   string
		config bridge.Config
		sends  []string // one a second
		wait   time.Duration
		state  string
		code   string
	}{
		{"no byte", jsonLines(), nil, 4 * time.Second, "offline", "E106"},
		{"no byte for long", sds, nil, time.Hour, "offline", "E106"},
		{"unreadable text", jsonLines(), []string{"\xff\xfe\x80\x81\x90\x91\xff\xfe\x00\x01\x02\n", "\xf1\xf2\xf3\xf4\n"}, 4 * time.Second, "offline", "E105"},
		{"other lines", jsonLines(), []string{"hello world\n", "T=1\n"}, 4 * time.Second, "offline", "E107"},
		{"bad checksums", sds, []string{frame[:8] + "\x00\xab", frame[:8] + "\x01\xab"}, 4 * time.Second, "offline", "E105"},
		{"garbage", sds, []string{"garbage", "more garbage"}, 4 * time.Second, "offline", "E105"},
		{"the middle of a frame, then frames", sds, []string{frame[4:], frame, frame}, 4 * time.Second, "online", ""},
		{"valid, then silent", sds, []string{frame, frame}, 9500 * time.Millisecond, "offline", "E120"},
		{"valid, then not yet stale", sds, []string{frame, frame}, 7 * time.Second, "online", ""},
		{"valid, then damaged", sds, []string{frame, frame[:8] + "\x00\xab", frame[:8] + "\x00\xab"}, 11 * time.Second, "offline", "E120"},
		{"valid, then other lines", jsonLines(), []string{"{\"n\":1}\n", "x\n", "y\n"}, 11 * time.Second, "offline", "E107"},
		{"valid, then unreadable", jsonLines(), []string{"{\"n\":1}\n", "\xff\xff\xff\n"}, 11 * time.Second, "offline", "E105"},
		{"one that need not speak", event, []string{"{\"n\":1}\n"}, 24 * time.Hour, "online", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.config, func(t *testing.T, r *rig) {
				for _, p := range c.sends {
					r.send(p)
					r.sleep(time.Second)
				}
				r.sleep(c.wait)
				synctest.Wait()
				s := r.bridge.Status()
				if s.State != c.state || s.Code != c.code || (c.code != "") != (s.Reason != "") {
					t.Errorf("%s %s %q, want %s %s", s.State, s.Code, s.Reason, c.state, c.code)
				}
				r.sleep(time.Second)
				if h := r.health(); r.status() != c.state || h.State != c.state || h.Code != c.code {
					t.Errorf("published: %q, %+v", r.status(), h)
				}
			})
		})
	}
}

func TestStaleAfterFollowsThePace(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		for range 20 {
			r.send("{\"n\":1}\n")
			r.sleep(20 * time.Second)
		}
		if r.status() != "online" { // the first gap of 20 s made it stale, later ones do not
			t.Fatalf("status %q at the device's own pace", r.status())
		}
		r.sleep(39 * time.Second)
		if r.status() != "online" {
			t.Error("stale before three periods")
		}
		r.sleep(2 * time.Second)
		if r.status() != "offline" {
			t.Error("not stale after three periods")
		}
	})
}

func TestLostBrokerIsFoundAgain(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.send("{\"n\":0}\n")
		r.broker.refuse(true)
		r.broker.drop("edged-dev-dev")
		synctest.Wait()
		if r.status() != "offline" {
			t.Errorf("the will: status %q", r.status())
		}
		for i := 1; i <= 150; i++ {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
			r.sleep(30 * time.Millisecond)
		}
		r.broker.refuse(false)
		r.sleep(6 * time.Second)
		if r.status() != "online" {
			t.Errorf("connected again: status %q", r.status())
		}
		var n []int
		for _, p := range r.broker.on(r.topic("data")) {
			var d struct{ N, Seq int }
			if err := json.Unmarshal([]byte(p), &d); err != nil {
				t.Fatal(err)
			}
			if d.Seq != d.N+1 {
				t.Errorf("n %d has seq %d", d.N, d.Seq)
			}
			n = append(n, d.N)
		}
		// At most 100 wait; the oldest were given up, the order is kept, and the newest is there.
		if !slices.IsSorted(n) || n[len(n)-1] != 150 || len(n) < 1+95 || len(n) > 1+100 {
			t.Errorf("came: %v", n)
		}
		if s := r.bridge.Status(); int(s.GivenUp) != 151-len(n) {
			t.Errorf("%d given up, and %d came", s.GivenUp, len(n))
		}
	})
}

func TestAtMostHundredReadingsAreUnacknowledged(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.send("{\"n\":0}\n")
		r.broker.hold(true)
		for i := 1; i <= 1000; i++ {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
		}
		if got := len(r.broker.on(r.topic("data"))); got > 101 {
			t.Errorf("the broker was given %d without an acknowledgement", got)
		}
		if s := r.bridge.Status(); s.Frames != 1001 || s.GivenUp < 899 || s.GivenUp > 901 {
			t.Errorf("%d lines read, %d given up", s.Frames, s.GivenUp)
		}
		r.broker.hold(false)
		synctest.Wait()
		all := r.broker.on(r.topic("data"))
		if !strings.Contains(all[len(all)-1], `"seq":1001,"n":1000}`) {
			t.Errorf("the newest is %s", all[len(all)-1])
		}
	})
}

// What was on its way when the connection ended, and what waited, comes after it, in order.
func TestNothingIsLostWithTheConnection(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.broker.hold(true)
		for i := range 80 {
			r.send(fmt.Sprintf("{\"n\":%d}\n", i))
		}
		r.broker.drop("edged-dev-dev")
		r.broker.hold(false)
		r.sleep(5 * time.Second)
		next := 0
		for _, m := range r.broker.on(r.topic("data")) {
			if strings.Contains(m, fmt.Sprintf(`"n":%d}`, next)) {
				next++
			}
		}
		if next != 80 {
			t.Errorf("message %d is missing", next)
		}
	})
}

// A disk that takes some milliseconds for each acknowledgement does not cost a burst its oldest lines.
func TestBurst(t *testing.T) {
	inBubble(t, jsonLines(), func(t *testing.T, r *rig) {
		r.broker.hold(true)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 100 {
				<-time.After(5 * time.Millisecond)
				r.broker.hold(false)
				r.broker.hold(true)
			}
			r.broker.hold(false)
		}()
		var burst strings.Builder
		for i := range 500 {
			fmt.Fprintf(&burst, "{\"n\":%d}\n", i)
		}
		r.send(burst.String())
		<-done
		r.sleep(time.Second)
		if n, s := len(r.broker.on(r.topic("data"))), r.bridge.Status(); n != 500 || s.GivenUp != 0 {
			t.Errorf("%d of 500 came, %d given up", n, s.GivenUp)
		}
	})
}

// A broker whose disk takes nothing acknowledges neither a subscription nor a message; subscribers see both at once.
func TestBrokerThatAcknowledgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, sensor("pms5003", nil), nil, nil)
		r.broker.hold(true)
		r.run()
		defer r.halt()
		r.broker.send(r.topic("set"), `{"sleep":false,"id":1}`, false)
		r.sleep(time.Minute)
		r.want("result", `{"id":1,"ok":true}`)
		if r.status() != "offline" {
			t.Errorf("status %q", r.status())
		}
	})
}
