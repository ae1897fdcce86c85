// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/mqtt"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sensor(driver string, options map[string]any) bridge.Config {
	c := bridge.Defaults()
	c.Name, c.Driver, c.Port, c.Options = "dev", driver, "/dev/fake", options
	return c
}

// The bytes are those of the makers' documents; see devices/testdata.
func TestCommandsReachTheWireAndAreAnswered(t *testing.T) {
	const frame = "42 4d 00 1c 00 00 00 08 00 08 00 00 00 08 00 08 00 d2 00 46 00 2d 00 1e 00 00 00 00 97 00 02 c5"
	for _, c := range []struct {
		name   string
		config bridge.Config
		set    string
		wire   string // what the device hears
		says   string // what it answers
		result string
	}{
		{"pms wake, not answered", sensor("pms5003", nil), `{"sleep":false}`, "42 4d e4 00 01 01 74", "", `{"id":null,"ok":true}`},
		{
			"pms passive", sensor("pms5003", nil), `{"mode":"passive","id":7}`, "42 4d e1 00 00 01 70", "42 4d 00 04 e1 00 01 74",
			`{"id":7,"ok":true,"readings":{"mode":"passive"}}`,
		},
		{
			"pms told otherwise", sensor("pms5003", nil), `{"mode":"active","id":{"a":[1]}}`, "42 4d e1 00 01 01 71", "42 4d 00 04 e1 00 01 74",
			`{"id":{"a":[1]},"ok":true,"readings":{"mode":"passive"}}`,
		},
		{
			"pms read", sensor("pms5003", nil), `{"read":true,"id":"x"}`, "42 4d e2 00 00 01 71", frame,
			`{"id":"x","ok":true,"readings":{"pm1_cf1":0,"pm25_cf1":8,"pm10_cf1":8,"pm1":0,"pm25":8,"pm10":8,"n0_3":210,"n0_5":70,"n1_0":45,"n2_5":30,"n5_0":0,"n10":0}}`,
		},
		{
			"pms silent", sensor("pms5003", nil), `{"mode":"passive","id":1}`, "42 4d e1 00 00 01 70", "",
			`{"id":1,"ok":false,"code":"E106","text":"the device did not answer within 1s"}`,
		},
		{
			"pms two at once, in their order", sensor("pms5003", nil), `{"sleep":false,"mode":"passive"}`, "42 4d e4 00 01 01 74 42 4d e1 00 00 01 70",
			"42 4d 00 04 e1 00 01 74", `{"id":null,"ok":true,"readings":{"mode":"passive"}}`,
		},
		{
			"sds period", sensor("sds011", nil), `{"working_period":0,"id":"p"}`, "aa b4 08 01 00 00 00 00 00 00 00 00 00 00 00 ff ff 07 ab",
			"aa c5 08 01 00 00 a1 60 0a ab", `{"id":"p","ok":true,"readings":{"working_period":0}}`,
		},
		{
			"sds address", sensor("sds011", map[string]any{"address": "a160"}), `{"address":"a001"}`,
			"aa b4 05 00 00 00 00 00 00 00 00 00 00 a0 01 a1 60 a7 ab", "aa c5 05 00 00 00 a0 01 a6 ab",
			`{"id":null,"ok":true,"readings":{"address":"a001"}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, c.config, func(t *testing.T, r *rig) {
				want, says := unhex(t, c.wire), unhex(t, c.says)
				r.ports.wire().answer(func([]byte) []byte {
					if len(says) > 0 && slices.Equal(r.ports.wire().heard(), want) {
						return says
					}
					return nil
				})
				r.broker.send(r.topic("set"), c.set, false)
				r.sleep(3 * time.Second)
				if got := r.ports.wire().heard(); !slices.Equal(got, want) {
					t.Errorf("the device heard % x\nwant % x", got, want)
				}
				r.want("result", c.result)
				if c.result != "" && strings.Contains(c.result, `"ok":true`) && len(says) > 0 && r.status() != "online" {
					t.Errorf("it answered, and is %s", r.status())
				}
			})
		})
	}
}

func TestCommandsThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, driver, set, says string
		retain                  bool
	}{
		{"no JSON", "pms5003", `sleep`, "a JSON object", false},
		{"no object", "pms5003", `[1]`, "a JSON object", false},
		{"cut", "pms5003", `{"sleep":`, "not JSON", false},
		{"something behind", "pms5003", `{"sleep":true} {}`, "something follows", false},
		{"nothing to set", "pms5003", `{"id":1}`, "names nothing", false},
		{"twice", "pms5003", `{"sleep":true,"sleep":false}`, "twice", false},
		{"unknown name", "pms5003", `{"slep":true,"id":1}`, `"id":1,"ok":false,"text":"there is no command \"slep\", but sleep, mode, read"`, false},
		{"wrong kind", "pms5003", `{"sleep":"yes"}`, "sleep: must be true or false", false},
		{"null", "pms5003", `{"sleep":null}`, "a value is a number, true, false or a string", false},
		{"not one of", "pms5003", `{"mode":"fast"}`, "fast is not one of active, passive", false},
		{"trigger with false", "pms5003", `{"read":false}`, "must be true", false},
		{"out of range", "sds011", `{"working_period":31}`, "31 is not in 0 to 30", false},
		{"no number", "sds011", `{"working_period":"1"}`, "must be a number", false},
		{"not hexadecimal", "sds011", `{"address":"xyz1"}`, "hexadecimal", false},
		{"too long", "sds011", `{"address":"a0a0a0"}`, "address:", false},
		{"second is wrong, nothing is done", "pms5003", `{"sleep":false,"mode":1}`, "mode: ", false},
		{"late", "pms5003", `{"sleep":true,"expires":"1999-12-31T23:59:59Z"}`, `"code":"E407"`, false},
		{"no time", "pms5003", `{"sleep":true,"expires":"tomorrow"}`, "no time", false},
		{"retained", "pms5003", `{"sleep":true,"id":5}`, `{"id":5,"ok":false,"code":"E406"`, true},
		{"takes none", "line", `{"sleep":true}`, "takes no commands", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := sensor(c.driver, nil)
			if c.driver == "line" {
				config = jsonLines()
			}
			inBubble(t, config, func(t *testing.T, r *rig) {
				r.broker.send(r.topic("set"), c.set, c.retain)
				r.sleep(time.Second)
				if got := r.broker.on(r.topic("result")); len(got) != 1 || !strings.Contains(got[0], c.says) || !strings.Contains(got[0], `"ok":false`) {
					t.Errorf("result %q, want it to say %s", got, c.says)
				}
				if got := r.ports.wire().heard(); len(got) > 0 {
					t.Errorf("the device heard % x", got)
				}
			})
		})
	}
}

func TestCommandWhileThePortIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, sensor("pms5003", nil), nil, nil)
		r.ports.fail("E103")
		r.run()
		defer r.halt()
		r.broker.send(r.topic("set"), `{"sleep":true,"id":1}`, false)
		synctest.Wait()
		r.want("result", `{"id":1,"ok":false,"code":"E103","text":"it is so: do that"}`)
	})
}

func TestCommandWhosePortGoes(t *testing.T) {
	inBubble(t, sensor("pms5003", nil), func(t *testing.T, r *rig) {
		r.broker.send(r.topic("set"), `{"mode":"passive","id":1}`, false)
		synctest.Wait()
		r.ports.wire().unplug()
		synctest.Wait()
		if got := r.broker.last(r.topic("result")); !strings.Contains(got, `"ok":false,"code":"E101"`) {
			t.Errorf("result %q", got)
		}
	})
}

// A command that the broker kept while the session was away is worth executing for a minute, and one of unknown age
// never, unless it says itself how long.
func TestCommandsThatWaitedForTheSession(t *testing.T) {
	for _, c := range []struct {
		name  string
		away  time.Duration
		set   string
		fails bool
	}{
		{"short", 3 * time.Second, `{"sleep":false}`, false},
		{"long", 2 * time.Minute, `{"sleep":false}`, true},
		{"long, but it said so", 2 * time.Minute, `{"sleep":false,"expires":"2000-01-01T01:00:00Z"}`, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sensor("pms5003", nil), func(t *testing.T, r *rig) {
				r.broker.refuse(true)
				r.broker.drop("edged-dev-dev")
				synctest.Wait()
				r.broker.send(r.topic("set"), c.set, false)
				r.sleep(c.away)
				r.broker.refuse(false)
				r.sleep(10 * time.Second)
				got := r.broker.last(r.topic("result"))
				if strings.Contains(got, `"code":"E407"`) != c.fails || strings.Contains(got, `"ok":true`) == c.fails {
					t.Errorf("result %q", got)
				}
			})
		})
	}
}

func TestCommandsThatWaitedInTheCloud(t *testing.T) {
	for _, c := range []struct{ waited, set, says string }{
		{"59", `{"sleep":false}`, `"ok":true`},
		{"61", `{"sleep":false}`, `"code":"E407"`},
		{"unknown", `{"sleep":false}`, `"code":"E407"`},
		{"3600", `{"sleep":false,"expires":"2000-01-01T01:00:00Z"}`, `"ok":true`},
	} {
		inBubble(t, sensor("pms5003", nil), func(t *testing.T, r *rig) {
			props := mqtt.Properties{User: []mqtt.UserProperty{{Name: "edged-waited", Value: c.waited}}}
			r.broker.offer(r.topic("set"), c.set, false, props.Append(nil))
			r.sleep(time.Second)
			if got := r.broker.last(r.topic("result")); !strings.Contains(got, c.says) {
				t.Errorf("waited %s: result %q, want %s", c.waited, got, c.says)
			}
		})
	}
}

func TestCommandFromBeforeTheStart(t *testing.T) {
	for set, says := range map[string]string{
		`{"sleep":false,"id":1}`:                                  `{"id":1,"ok":false,"code":"E407"`,
		`{"sleep":false,"id":2,"expires":"2000-01-01T01:00:00Z"}`: `{"id":2,"ok":true}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			r := setUp(t, sensor("pms5003", nil), nil, nil)
			r.run()
			r.halt()
			r.broker.send(r.topic("set"), set, false)
			again := setUp(t, sensor("pms5003", nil), nil, func(d *bridge.Deps) { d.Dial = r.broker.Dial })
			again.broker = r.broker
			again.run()
			again.sleep(time.Second)
			if got := r.broker.last(r.topic("result")); !strings.HasPrefix(got, says) {
				t.Errorf("result %q, want %s", got, says)
			}
			again.halt()
		})
	}
}

func TestFrameThatBeganBeforeTheRequestIsNoAnswer(t *testing.T) {
	inBubble(t, sensor("pms5003", nil), func(t *testing.T, r *rig) {
		frame := string(unhex(t, "424d001c0000000800080000000800080 0d20046002d001e00000000970002c5"))
		r.send(frame[:10])
		r.sleep(10 * time.Millisecond)
		r.broker.send(r.topic("set"), `{"read":true,"id":1}`, false)
		r.sleep(10 * time.Millisecond)
		r.send(frame[10:])
		r.sleep(10 * time.Millisecond)
		r.want("result")
		r.send(frame)
		if got := r.broker.last(r.topic("result")); !strings.HasPrefix(got, `{"id":1,"ok":true,"readings":{`) {
			t.Errorf("result %q", got)
		}
	})
}

// Nothing that a device does holds up its port: while it takes no bytes, its frames are read on.
func TestDeviceThatTakesNoBytesIsStillRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := setUp(t, sensor("sds011", nil), nil, nil)
		r.ports.deaf = true
		r.run()
		defer r.halt()
		for range 3 {
			r.broker.send(r.topic("set"), `{"sleep":false}`, false)
		}
		for range 8 {
			r.send("\xaa\xc0\x06\x00\x06\x00\x58\xd9\x3d\xab")
			r.sleep(time.Second)
		}
		if n := len(r.broker.on(r.topic("data"))); n != 8 {
			t.Errorf("%d of 8 frames came through", n)
		}
		got := r.broker.on(r.topic("result"))
		if len(got) != 3 || !strings.Contains(got[0], `"code":"E106","text":"the port took no bytes for 2s"`) {
			t.Errorf("results %q", got)
		}
	})
}

func TestDeviceThatIsAskedIsAskedInItsPeriod(t *testing.T) {
	c := sensor("pms5003", nil)
	c.Every = 5 * time.Second
	inBubble(t, c, func(t *testing.T, r *rig) {
		frame := unhex(t, "424d001c0000000800080000000800080 0d20046002d001e00000000970002c5")
		asked := unhex(t, "42 4d e2 00 00 01 71")
		r.ports.wire().answer(func(p []byte) []byte {
			if slices.Equal(p, asked) {
				return frame
			}
			return nil
		})
		r.sleep(21 * time.Second)
		if n := len(r.broker.on(r.topic("data"))); n != 4 {
			t.Errorf("%d readings in 21 s, the first one at 5 s", n)
		}
		r.ports.wire().answer(nil)
		r.sleep(16 * time.Second)
		if s := r.bridge.Status(); s.State != "offline" || s.Code != "E120" {
			t.Errorf("it answers no more, and is %s %s", s.State, s.Code)
		}
	})
}
