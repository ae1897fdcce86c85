// SPDX-License-Identifier: Apache-2.0

package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"edged/bridge"
	"edged/bridge/bus"
	"edged/bridge/port"
	"edged/devices"
	"edged/devices/catalog"
)

// blocks is a device with two blocks of 8 registers, whose answers look alike.
func blocks(t *testing.T) *devices.Driver {
	t.Helper()
	var b strings.Builder
	b.WriteString("driver = \"blocks\"\ntitle = \"two blocks\"\nprotocol = \"modbus\"\n")
	for i := range 16 {
		fmt.Fprintf(&b, "[[reading]]\nname = \"%c%d\"\nat = %d\n", "ab"[i/8], i%8, i/8*100+i%8)
	}
	b.WriteString("[[command]]\nname = \"target\"\nkind = \"number\"\nat = 300\nmin = 0\nmax = 1000\n")
	b.WriteString("[[command]]\nname = \"total\"\nkind = \"number\"\ntype = \"u32\"\nat = 400\nmin = 0\nmax = 100000\n")
	d, _, err := catalog.ParseDescription("blocks.toml", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// onePort is ports of which there is one.
type onePort struct {
	mu   sync.Mutex
	port port.Port
	err  error
}

func (o *onePort) Open(context.Context, port.Request) (port.Port, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.port, o.err
}

func (*onePort) Changed() <-chan struct{} { return nil }

// busRig is devices on a shared line, with a broker, in virtual time.
type busRig struct {
	t       *testing.T
	line    *rtuLine
	broker  *fakeBroker
	bus     *bus.Bus
	bridges map[int]*bridge.Bridge
	stop    func()
	parts   sync.WaitGroup
}

// onABus runs a device for each address until test returns.
func onABus(t *testing.T, line *rtuLine, c bus.Config, every time.Duration, addresses []int, test func(r *busRig)) {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	c.Name, c.Port = "hall", "/dev/fake"
	b, err := bus.New(c, bus.Deps{Ports: &onePort{port: line}, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r := &busRig{t: t, line: line, broker: newFakeBroker(t), bus: b, bridges: map[int]*bridge.Bridge{}, stop: cancel}
	r.parts.Go(func() {
		if err := b.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	drv := blocks(t)
	for _, a := range addresses {
		c := bridge.Defaults()
		c.Name, c.Driver, c.Bus, c.Every = fmt.Sprintf("d%d", a), "blocks", "hall", every
		c.Options = map[string]any{"address": int64(a)}
		x, err := bridge.New(c, drv, bridge.Deps{Gateway: "gw", Dial: r.broker.Dial, Bus: b, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		r.bridges[a] = x
		r.parts.Go(func() {
			if err := bridge.Keep(ctx, quiet, bridge.Restart(), x.Run); err != nil {
				t.Error(err)
			}
		})
	}
	test(r)
	cancel()
	r.parts.Wait()
	r.broker.serving.Wait()
}

// data gives what a device published.
func (r *busRig) data(address int) []map[string]any {
	var all []map[string]any
	for _, p := range r.broker.on(fmt.Sprintf("edged/gw/dev/d%d/data", address)) {
		var m map[string]any
		if err := json.Unmarshal([]byte(p), &m); err != nil {
			r.t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// wrong counts readings of a device that are not what its slave held when it was asked last: another register's, another
// device's, or an answer to an earlier request.
func (r *busRig) wrong(address int) int {
	s, n := r.line.slaves[byte(address)], 0
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range r.data(address) {
		at, err := time.Parse(time.RFC3339, m["time"].(string))
		if err != nil {
			r.t.Fatal(err)
		}
		at = at.Add(time.Millisecond) // it is cut
		for name, x := range m {
			value, ok := x.(float64)
			if !ok || name == "seq" {
				continue
			}
			register := int(name[1]-'0') + 100*int(name[0]-'a')
			if register%100 != 0 {
				if int(value) != address*200+register {
					n++
					r.t.Errorf("device %d: %s is %v, want %d: %v", address, name, value, address*200+register, m)
				}
				continue
			}
			request := int(value)
			if request >= len(s.asked) || request+1 < len(s.asked) && s.asked[request+1].Before(at) {
				n++
				r.t.Errorf("device %d: %s at %v is the answer to request %d, which is not the last one before it: %v", address, name, at, request, m)
			}
		}
	}
	return n
}

func prompt(d time.Duration) func(int) time.Duration { return func(int) time.Duration { return d } }

func numbers(from, to int) (all []int) {
	for i := from; i <= to; i++ {
		all = append(all, i)
	}
	return all
}

// thirty are slaves 1 to 30, of which some are dead.
func thirty(dead ...int) *rtuLine {
	var slaves []*slave
	for _, a := range numbers(1, 30) {
		delay := prompt(time.Duration(5+a%4*5) * time.Millisecond)
		if slices.Contains(dead, a) {
			delay = prompt(-1)
		}
		slaves = append(slaves, &slave{address: byte(a), delay: delay})
	}
	return newRTULine(slaves...)
}

func TestABusOfThirtyWithThreeDeadIsReadOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, dead := thirty(5, 15, 25), []int{5, 15, 25}
		const every, passed = 5 * time.Second, 10 * time.Minute
		onABus(t, line, bus.Config{Serial: "9600 8N1"}, every, numbers(1, 30), func(r *busRig) {
			begun := time.Now()
			<-time.After(passed)
			for _, a := range numbers(1, 30) {
				s := r.bridges[a].Status()
				if slices.Contains(dead, a) {
					if s.State != "offline" || s.Code != "E106" || s.Line == nil || !s.Line.Suspended || s.Line.ErrorRate != 1 {
						t.Errorf("dead device %d: %s %s %q %+v", a, s.State, s.Code, s.Reason, s.Line)
					}
					continue
				}
				r.wrong(a)
				last, rounds := begun, 0
				for _, m := range r.data(a) {
					if _, first := m["a0"]; !first {
						continue
					}
					at, err := time.Parse(time.RFC3339, m["time"].(string))
					if err != nil {
						t.Fatal(err)
					}
					if rounds++; rounds > 4 && at.Sub(last) > every+1300*time.Millisecond { // at first nobody knows who is dead
						t.Errorf("device %d was read %v after the time before", a, at.Sub(last))
					}
					last = at
				}
				if want := int(passed/every) - 1; rounds < want {
					t.Errorf("device %d was read %d times, want %d", a, rounds, want)
				}
				if s.State != "online" || s.Line.ReplyP95MS <= 0 || s.Line.ErrorRate != 0 {
					t.Errorf("device %d: %s %+v", a, s.State, s.Line)
				}
			}
			if u := r.bus.Status().Utilisation; u < 0.3 || u > 1 {
				t.Errorf("utilisation %v", u)
			}
		})
		if line.close > 0 || line.collided > 0 {
			t.Errorf("%d requests came sooner than 3.5 characters after the last byte, %d collisions", line.close, line.collided)
		}
	})
}

// TestTheDeadCostTheOthersLittle compares a line that is never idle with and without dead devices.
func TestTheDeadCostTheOthersLittle(t *testing.T) {
	const passed = 10 * time.Minute
	read := func(addresses []int, dead ...int) (n int) {
		synctest.Test(t, func(t *testing.T) {
			onABus(t, thirty(dead...), bus.Config{Serial: "9600 8N1"}, time.Second, addresses, func(r *busRig) {
				<-time.After(time.Minute)
				before := 0
				for _, a := range addresses {
					before += len(r.data(a))
				}
				<-time.After(passed)
				for _, a := range addresses {
					r.wrong(a)
					n += len(r.data(a))
				}
				n -= before
			})
		})
		return n
	}
	alive := slices.DeleteFunc(numbers(1, 30), func(a int) bool { return a%10 == 5 })
	without, with := read(alive), read(numbers(1, 30), 5, 15, 25)
	if without < 5000 || with < without*98/100 {
		t.Errorf("%d readings beside three dead devices, %d without them: more than 2 %% less", with, without)
	}
	t.Logf("%d readings, %d beside three dead devices", without, with)
}

// TestNothingWrongIsReadOnABadLine: slaves that answer late, or now and then not at all, noise, echoes, and another master
// that asks its own devices and some of ours.
func TestNothingWrongIsReadOnABadLine(t *testing.T) {
	for seed := range uint64(6) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 5))
			var mu sync.Mutex
			between := func(low, high time.Duration) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return low + time.Duration(r.Int64N(int64(high-low)))
			}
			slaves := []*slave{}
			for _, a := range numbers(1, 12) {
				s := &slave{address: byte(a), delay: prompt(8 * time.Millisecond), drops: seed%3 == 0}
				switch a {
				case 3:
					s.delay = prompt(-1)
				case 4, 5: // often late
					s.delay = func(int) time.Duration { return between(100*time.Millisecond, 2500*time.Millisecond) }
				case 6: // always late
					s.delay = func(int) time.Duration { return between(1050*time.Millisecond, 1800*time.Millisecond) }
				case 7: // late at times, by all lengths
					s.delay = func(n int) time.Duration {
						if n%3 == 0 {
							return between(time.Second, 12*time.Second)
						}
						return 10 * time.Millisecond
					}
				case 8:
					s.gaps = true
				case 9: // now and then not at all
					s.delay = func(int) time.Duration {
						if between(0, 8) == 0 {
							return -1
						}
						return 10 * time.Millisecond
					}
				}
				slaves = append(slaves, s)
			}
			slaves = append(slaves, &slave{address: 40, delay: prompt(10 * time.Millisecond)})
			line := newRTULine(slaves...)
			line.echo = seed%2 == 1
			onABus(t, line, bus.Config{Serial: "9600 8N1"}, 2*time.Second, numbers(1, 12), func(x *busRig) {
				for begun := time.Now(); time.Since(begun) < 5*time.Minute; {
					<-time.After(between(50*time.Millisecond, 3*time.Second))
					switch between(0, 6) {
					case 0, 1: // noise
						p := make([]byte, between(1, 40))
						for i := range p {
							p[i] = byte(between(0, 256))
						}
						line.send(p, true)
					case 2: // another master asks a device of its own
						line.send(withCRC([]byte{40, 3, 0, 0, 0, 8}), true)
					case 3, 4: // or one of ours, as we do
						line.send(withCRC([]byte{byte(1 + between(0, 12)), 3, 0, 100 * byte(between(0, 2)), 0, 8}), true)
					}
				}
				read := 0
				for _, a := range numbers(1, 12) {
					x.wrong(a)
					read += len(x.data(a))
				}
				if read < 800 {
					t.Errorf("seed %d: all devices together were read %d times", seed, read)
				}
				t.Logf("seed %d: %d readings; of the late ones %d %d %d %d; %d collisions", seed, read,
					len(x.data(4)), len(x.data(5)), len(x.data(6)), len(x.data(7)), line.collided)
			})
		})
	}
}

// TestAnotherMasterIsOverheard: edged writes nothing, and reads what another master asks its devices.
func TestAnotherMasterIsOverheard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := newRTULine(&slave{address: 1, delay: prompt(8 * time.Millisecond)}, &slave{address: 2, delay: prompt(8 * time.Millisecond)}, &slave{address: 9, delay: prompt(-1)})
		onABus(t, line, bus.Config{Serial: "9600 8N1", Listen: true}, time.Second, []int{1, 2, 9}, func(r *busRig) {
			<-time.After(time.Second)
			ask := func(p ...byte) {
				line.send(withCRC(p), true)
				<-time.After(100 * time.Millisecond)
			}
			for i := range 50 {
				ask(1, 3, 0, 0, 0, 8)
				if i%3 == 0 {
					line.send([]byte{1, 3, 16, 7, 7, 7, 0xff}, true) // noise, and an answer that is cut
					<-time.After(30 * time.Millisecond)
				}
				ask(2, 3, 0, 100, 0, 8)
				ask(2, 3, 0, 1, 0, 3) // a part of a block
				ask(9, 3, 0, 0, 0, 8) // which does not answer
				ask(1, 3, 0, 100, 0, 8)
			}
			r.broker.send("edged/gw/dev/d1/set", `{"target":5,"id":1}`, false)
			<-time.After(20 * time.Second)
			for _, a := range []int{1, 2} {
				r.wrong(a)
				if n := len(r.data(a)); n < 90 {
					t.Errorf("device %d was read %d times, want 100", a, n)
				}
			}
			if s := r.bridges[9].Status(); s.State != "offline" || s.Code != "E106" || len(r.data(9)) > 0 {
				t.Errorf("the dead device is %s %s", s.State, s.Code)
			}
			if got := r.broker.last("edged/gw/dev/d1/result"); !strings.Contains(got, `"ok":false`) || !strings.Contains(got, "only listens") {
				t.Errorf("result %s", got)
			}
		})
		for _, s := range line.slaves {
			s.mu.Lock()
			if len(s.asked) > 200 {
				t.Errorf("slave %d was asked %d times", s.address, len(s.asked))
			}
			s.mu.Unlock()
		}
	})
}

func TestCommandsOnABusGoFirstAndAreReadBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := thirty()
		onABus(t, line, bus.Config{Serial: "9600 8N1"}, time.Second, numbers(1, 30), func(r *busRig) { // never idle
			<-time.After(20 * time.Second)
			for i, c := range []struct{ set, want string }{
				{`{"target":500,"id":"a"}`, `{"id":"a","ok":true,"readings":{"target":500}}`},
				{`{"total":70000,"id":"b"}`, `{"id":"b","ok":true,"readings":{"total":70000}}`}, // written with function 16
				{`{"target":1001,"id":"c"}`, `{"id":"c","ok":false,"text":"target: 1001 is not in 0 to 1000"}`},
				{`{"target":1,"total":2,"id":"d"}`, `{"id":"d","ok":true,"readings":{"target":1,"total":2}}`},
			} {
				begun := time.Now()
				r.broker.send("edged/gw/dev/d7/set", c.set, false)
				for len(r.broker.on("edged/gw/dev/d7/result")) <= i && time.Since(begun) < 10*time.Second {
					<-time.After(time.Millisecond)
				}
				if passed := time.Since(begun); passed > time.Second {
					t.Errorf("%s: the answer took %v on a line that is never idle", c.set, passed)
				}
				if got := r.broker.last("edged/gw/dev/d7/result"); got != c.want {
					t.Errorf("%s gives %s, want %s", c.set, got, c.want)
				}
			}
			r.wrong(7)
		})
	})
}
