// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

// onBus reports drivers whose frames mean something only after the request that they answer.
func onBus(d *devices.Driver) bool {
	return d.Name == "daly" || slices.ContainsFunc(d.Options, func(o devices.OptionInfo) bool { return o.Name == "framing" })
}

// talk is a request of a driver and what its pretended device answers.
type talk struct {
	request, answer []byte
	want            string // of the answer, as JSON
}

// asking makes a decoder of a driver on a bus, and gives its requests and their answers.
func asking(t testing.TB, d *devices.Driver, framing string) (all []talk) {
	t.Helper()
	o := devices.Options{"framing": framing}
	x := subject{name: d.Name, driver: d, options: o}.begin(t)
	sim, err := d.Simulate(o, 1)
	if err != nil {
		t.Fatal(err)
	}
	for step := 0; ; step++ {
		r, ok := x.dec.(devices.Asker).Next(step)
		if !ok {
			break
		}
		one := talk{request: r.Bytes, answer: sim.Receive(r.Bytes, start(), nil)}
		x.texts = nil
		x.dec.(devices.Hearer).Sent(r.Bytes)
		x.feed(start(), one.answer)
		if len(x.texts) == 1 && x.texts[0] == "{}" {
			continue // registers that the pretended device leaves empty
		}
		if len(x.texts) != 1 {
			t.Fatalf("%s: % x is answered by % x, which gives %q", d.Name, r.Bytes, one.answer, x.texts)
		}
		one.want = x.texts[0]
		all = append(all, one)
	}
	if len(all) == 0 {
		t.Fatalf("%s: it is asked nothing", d.Name)
	}
	return all
}

// TestAnswersOnABus brings answers as lines do: cut anywhere, behind garbage, an echo or a frame of another device,
// damaged, and late. Whatever is read is what the whole answer says.
func TestAnswersOnABus(t *testing.T) {
	for _, d := range catalog.All() {
		if !onBus(d) {
			continue
		}
		for _, framing := range []string{"rtu", "tcp"} {
			s := subject{name: d.Name, driver: d, options: devices.Options{"framing": framing}}
			for _, k := range asking(t, d, framing) {
				ask := func(what string, wire []byte, samples int) {
					t.Helper()
					x := s.begin(t)
					x.dec.(devices.Hearer).Sent(k.request)
					x.feed(start(), wire)
					if len(x.texts) != samples || samples > 0 && x.texts[0] != k.want {
						t.Errorf("%s %s: %s: % x gives %q, want %d times %s", d.Name, framing, what, wire, x.texts, samples, k.want)
					}
				}
				ask("garbage before it", append([]byte{0x11, 1, 0xff, k.answer[0]}, k.answer...), 1)
				ask("twice", slices.Concat(k.answer, k.answer), 1)
				if framing == "rtu" { // TCP checks its bytes itself
					other := bytes.Clone(k.answer)
					other[len(other)/2] ^= 0x40
					ask("a bit is another", other, 0)
					ask("behind its echo", slices.Concat(k.request, k.answer), 1)
				}
				x := s.begin(t)
				x.feed(start(), k.answer)
				if len(x.texts) > 0 {
					t.Errorf("%s: what was not asked gives %q", d.Name, x.texts)
				}
				for cut := 0; cut < len(k.answer); cut += 1 + len(k.answer)/16 {
					x := s.begin(t)
					x.dec.(devices.Hearer).Sent(k.request)
					x.feed(start(), k.answer[:cut])
					if len(x.texts) > 0 {
						t.Fatalf("%s: %d bytes of an answer give %q", d.Name, cut, x.texts)
					}
					x.feed(start().Add(time.Second), k.answer[cut:])
					if len(x.texts) != 1 || x.texts[0] != k.want {
						t.Fatalf("%s: cut at %d it gives %q", d.Name, cut, x.texts)
					}
				}
			}
		}
	}
}

// TestValuesOnABusStayInRange asks many times and compares with what the driver promises.
func TestValuesOnABusStayInRange(t *testing.T) {
	for _, d := range catalog.All() {
		if !onBus(d) {
			continue
		}
		x := subject{name: d.Name, driver: d}.begin(t)
		sim, err := d.Simulate(nil, 7)
		if err != nil {
			t.Fatal(err)
		}
		for range 100 {
			for step := 0; ; step++ {
				r, ok := x.dec.(devices.Asker).Next(step)
				if !ok {
					break
				}
				x.dec.(devices.Hearer).Sent(r.Bytes)
				x.feed(start(), sim.Receive(r.Bytes, start(), nil))
			}
		}
		seen := map[string]int{}
		for _, s := range x.samples {
			for _, r := range s.Readings {
				seen[r.Name]++
				i := slices.IndexFunc(d.Readings, func(x devices.Info) bool { return x.Name == r.Name })
				v, _ := r.Value.Float()
				if info := d.Readings[i]; info.Min != nil && v < *info.Min || info.Max != nil && v > *info.Max {
					t.Fatalf("%s: %s = %v is out of range", d.Name, r.Name, v)
				}
			}
		}
		for _, r := range d.Readings {
			if seen[r.Name] != 100 && !r.Optional && r.Name != "model" { // which the pretended battery has none of
				t.Errorf("%s: %s is in %d of 100 rounds", d.Name, r.Name, seen[r.Name])
			}
		}
	}
}

// TestRelaysAreSwitched sets coils of a pretended board and reads them.
func TestRelaysAreSwitched(t *testing.T) {
	w := connect(t, "relay-4", nil)
	r, err := w.dec.(devices.Commander).Command("relay_2", devices.Flag(true))
	if err != nil {
		t.Fatal(err)
	}
	exchange := func(r devices.Request) []string {
		w.texts = nil
		w.dec.(devices.Hearer).Sent(r.Bytes)
		w.feed(w.now, w.sim.Receive(r.Bytes, w.now, nil))
		return w.texts
	}
	w.expect("the answer", exchange(r), `relay_2{"relay_2":true}`)
	read, _ := w.dec.(devices.Asker).Next(0)
	w.expect("the state", exchange(read), `{"relay_1":false,"relay_2":true,"relay_3":false,"relay_4":false}`)
}

// TestLateAnswersOnABus: one that comes when something else was asked is not read as that.
func TestLateAnswersOnABus(t *testing.T) {
	text, _ := catalog.Description("relay-4")
	text = append(bytes.Clone(text), "\n[[reading]]\nname = \"a\"\nat = 0\ntable = \"holding\"\ntext = \"a\"\n[[reading]]\nname = \"b\"\nat = 7\ntable = \"holding\"\ntext = \"b\"\n"...)
	d, _, err := catalog.ParseDescription("x.toml", text)
	if err != nil {
		t.Fatal(err)
	}
	x := subject{name: "x", driver: d}.begin(t)
	next := func(step int) []byte {
		r, ok := x.dec.(devices.Asker).Next(step)
		if !ok {
			t.Fatalf("no request %d", step)
		}
		return r.Bytes
	}
	next(0)
	a, b := next(1), next(2)
	answer := func(value uint16) []byte { // looks the same whichever of the two it answers
		return withCRC(binary.BigEndian.AppendUint16([]byte{1, 3, 2}, value))
	}
	hear := x.dec.(devices.Hearer)
	hear.Sent(a)
	hear.Sent(b) // a was not answered in time
	x.feed(start(), answer(111))
	x.feed(start(), answer(222))
	if len(x.texts) > 0 {
		t.Errorf("the late answer to a, or the one behind it, gives %q", x.texts)
	}
	next(0)
	probe := next(1)
	if bytes.Equal(probe, a) {
		t.Fatal("it is asked the same again while an answer may still come")
	}
	hear.Sent(probe)
	x.feed(start(), answer(222)) // even later
	x.feed(start(), withCRC(append([]byte{1, 3, 2 * probe[5]}, make([]byte, 2*int(probe[5]))...)))
	if want := []string{`{}`}; !slices.Equal(x.texts, want) {
		t.Errorf("what was asked to find out whether all is through gives %q", x.texts)
	}
	x.texts = nil
	if again := next(2); !bytes.Equal(again, a) {
		t.Fatalf("then % x is asked, want % x", again, a)
	}
	hear.Sent(a)
	x.feed(start(), answer(333))
	if want := []string{`{"a":333}`}; !slices.Equal(x.texts, want) {
		t.Errorf("then %q, want %q", x.texts, want)
	}
}

// withCRC appends CRC-16/MODBUS, bit by bit.
func withCRC(p []byte) []byte {
	crc := uint16(0xffff)
	for _, x := range p {
		crc ^= uint16(x)
		for range 8 {
			crc = crc>>1 ^ 0xa001*(crc&1)
		}
	}
	return binary.LittleEndian.AppendUint16(p, crc)
}
