// SPDX-License-Identifier: Apache-2.0

package catalog_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"edged/devices"
	"edged/devices/catalog"
)

func TestFramesCutAnywhere(t *testing.T) {
	for _, s := range subjects(t) {
		for _, frame := range s.frames {
			want := s.expect(t, frame)
			for cut := range frame {
				x := s.begin(t)
				x.feed(start(), frame[:cut])
				if len(x.samples) > 0 && !s.driver.Text {
					t.Fatalf("%s: the first %d bytes of % x give a sample", s.name, cut, frame)
				}
				later := start().Add(50 * time.Millisecond)
				x.feed(later, frame[cut:])
				if !slices.Equal(x.texts, want) {
					t.Fatalf("%s: % x cut at %d gives %q, want %q", s.name, frame, cut, x.texts, want)
				}
				begun := start()
				if cut == 0 {
					begun = later
				}
				if at := x.samples[0].At; !at.Equal(begun) {
					t.Fatalf("%s: % x cut at %d was measured %v, want the first byte's %v", s.name, frame, cut, at, begun)
				}
			}
		}
	}
}

// TestTimeIsThatOfTheFirstByte feeds everything byte by byte, each with its own time.
func TestTimeIsThatOfTheFirstByte(t *testing.T) {
	for _, s := range subjects(t) {
		x := s.begin(t)
		var want []time.Time
		n := 0
		for _, frame := range s.frames {
			for i, b := range append([]byte{1, 1, '\n'}, frame...) {
				at := start().Add(time.Duration(n) * time.Millisecond)
				if i == 3 {
					want = append(want, at)
				}
				x.feed(at, []byte{b})
				n++
			}
		}
		if len(x.samples) != len(want) {
			t.Fatalf("%s: %d samples, want %d", s.name, len(x.samples), len(want))
		}
		for i, sample := range x.samples {
			if !sample.At.Equal(want[i]) {
				t.Errorf("%s: sample %d is of %v, want %v", s.name, i, sample.At, want[i])
			}
		}
	}
}

// TestGarbageIsCountedAndPassedOver puts bytes that begin no frame before, between and behind frames.
func TestGarbageIsCountedAndPassedOver(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, s := range subjects(t) {
		want := s.expect(t, s.frames...)
		var wire []byte
		garbage := 0
		junk := func() {
			n := rnd.IntN(60)
			for range n {
				wire = append(wire, byte(0x11+rnd.IntN(8))) // no driver's frames begin with these
			}
			if garbage += n; s.driver.Text {
				wire = append(wire, '\n')
			}
		}
		for _, frame := range s.frames {
			junk()
			wire = append(wire, frame...)
		}
		junk()
		x := s.begin(t)
		for rest := wire; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(50))
			x.feed(start(), rest[:n])
			rest = rest[n:]
		}
		x.end()
		c := x.dec.Counts()
		if !slices.Equal(x.texts, want) {
			t.Errorf("%s: %d samples %q, want %q", s.name, len(x.texts), x.texts, want)
		}
		if !s.driver.Text && (c.Garbage != uint64(garbage) || c.Bad != 0) {
			t.Errorf("%s: %d bytes of garbage and %d bad frames, want %d and 0", s.name, c.Garbage, c.Bad, garbage)
		}
		if c.Pending != 0 || c.Bytes != uint64(len(wire)) || c.Frames != uint64(len(want)) {
			t.Errorf("%s: %+v of %d bytes and %d frames", s.name, c, len(wire), len(want))
		}
	}
}

// TestDamagedFrames flips each bit of a frame that others follow: never more than the damaged one is lost, and every
// byte is accounted for.
func TestDamagedFrames(t *testing.T) {
	for _, s := range subjects(t) {
		if s.driver.Text {
			continue
		}
		frame := s.frames[0]
		one := s.expect(t, frame)[0]
		for bit := range 8 * len(frame) {
			damaged := bytes.Clone(frame)
			damaged[bit/8] ^= 1 << (bit % 8)
			x := s.begin(t)
			x.feed(start(), slices.Concat(frame, damaged, frame, frame))
			x.end()
			c := x.dec.Counts()
			if got := x.texts; len(got) < 3 || got[0] != one || got[len(got)-1] != one || got[len(got)-2] != one {
				t.Errorf("%s: bit %d of % x flipped: %q", s.name, bit, frame, got)
			}
			if c.Frames == 3 && c.Bad == 0 && c.Garbage != uint64(len(frame)) || c.Bad > 1 || c.Bad == 1 && c.Garbage > uint64(len(frame)) {
				t.Errorf("%s: bit %d of % x flipped: %+v", s.name, bit, frame, c)
			}
		}
	}
}

// TestUnfinishedFrameIsGarbage cuts the input off inside a frame.
func TestUnfinishedFrameIsGarbage(t *testing.T) {
	for _, s := range subjects(t) {
		frame := bytes.TrimRight(s.frames[0], "\r\n")
		cut := len(frame) / 2
		x := s.begin(t)
		x.feed(start(), slices.Concat(s.frames[0], frame[:cut]))
		if c := x.dec.Counts(); c.Pending != cut {
			t.Errorf("%s: %d bytes pending of %d", s.name, c.Pending, cut)
		}
		x.end()
		if c := x.dec.Counts(); c.Garbage != uint64(cut) || c.Bad != 0 || c.Frames != 1 || c.Pending != 0 {
			t.Errorf("%s: %+v, want 1 frame and %d bytes of garbage", s.name, c, cut)
		}
	}
}

// FuzzDecoders feeds every driver with anything, in pieces of any size. It must not panic, hold little, account for
// every byte, and find the frames that follow.
func FuzzDecoders(f *testing.F) {
	all := subjects(f)
	for i, s := range all {
		f.Add(uint8(i), uint8(3), slices.Concat(s.frames[0], s.frames[1][:3], s.frames[2]))
		f.Add(uint8(i), uint8(0), bytes.Repeat(s.frames[0][:4], 9))
	}
	f.Add(uint8(0), uint8(1), []byte("{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}\r\n\xff\n,,,\n"))
	f.Fuzz(func(t *testing.T, which, piece uint8, junk []byte) {
		s := all[int(which)%len(all)]
		x := s.begin(t)
		for rest := junk; len(rest) > 0; {
			n := min(len(rest), 1+int(piece))
			x.feed(start(), rest[:n])
			if c := x.dec.Counts(); c.Pending > 8<<10 {
				t.Fatalf("%s holds %d bytes", s.name, c.Pending)
			}
			rest = rest[n:]
		}
		if s.driver.Text {
			x.feed(start(), []byte("\n"))
		}
		frame := s.frames[len(s.frames)-1]
		for range 6 { // junk may end in the beginning of a valid frame that the first ones complete
			x.feed(start(), frame)
		}
		x.end()
		if s.name != "line csv header" { // where junk may have named the columns
			want := s.expect(t, frame)[0]
			if len(x.texts) < 3 || x.texts[len(x.texts)-1] != want {
				t.Fatalf("%s: after % x it gives %q, want %q at last", s.name, junk, x.texts, want)
			}
		}
		c := x.dec.Counts()
		if c.Pending != 0 || c.Garbage > c.Bytes || !s.driver.Text && c.Frames == 0 {
			t.Fatalf("%s: %+v", s.name, c)
		}
		for _, sample := range x.samples {
			checkSample(t, s, sample)
		}
	})
}

// checkSample finds what no driver may emit.
func checkSample(t *testing.T, s subject, sample devices.Sample) {
	t.Helper()
	if !sample.At.Equal(start()) {
		t.Errorf("%s: a sample of %v", s.name, sample.At)
	}
	names := map[string]bool{}
	for _, r := range sample.Readings {
		if !devices.IsName(r.Name) || names[r.Name] || r.Value.Kind() == devices.None {
			t.Errorf("%s: reading %q = %v", s.name, r.Name, r.Value)
		}
		names[r.Name] = true
	}
}

func TestEveryDriverSaysWhatItIs(t *testing.T) {
	names := catalog.Names()
	if !slices.IsSorted(names) || len(names) != len(catalog.All()) || len(slices.Compact(names)) != len(catalog.All()) {
		t.Errorf("names: %q", names)
	}
	for i, d := range catalog.All() {
		if d.Name != names[i] || d.Title == "" || d.Class == "" || d.Sensor == nil && (d.Serial == "" || d.New == nil || d.Simulate == nil) {
			t.Errorf("driver %d is incomplete: %+v", i, d)
		}
		if got, ok := catalog.Get(d.Name); !ok || got.Name != d.Name {
			t.Errorf("%s is not found by its name", d.Name)
		}
		for _, r := range d.Readings {
			if !devices.IsName(r.Name) || r.Class != "" && r.Unit == "" && r.Kind != devices.Bool || r.Text == "" {
				t.Errorf("%s: reading %+v", d.Name, r)
			}
		}
		for _, c := range d.Commands {
			if !devices.IsName(c.Name) || devices.Reserved(c.Name) || c.Kind == "" || c.Text == "" {
				t.Errorf("%s: command %+v", d.Name, c)
			}
		}
		for _, o := range d.Options {
			if !devices.IsName(o.Name) || o.Kind == "" || o.Text == "" {
				t.Errorf("%s: option %+v", d.Name, o)
			}
		}
	}
	if _, ok := catalog.Get("pms5oo3"); ok {
		t.Error("a driver that does not exist is found")
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, s := range subjects(b) {
		b.Run(strings.ReplaceAll(s.name, " ", "-"), func(b *testing.B) {
			x := s.begin(b)
			wire := bytes.Join(s.frames[len(s.frames)-3:], nil)
			wire = bytes.Repeat(wire, 1+2048/len(wire)) // what a busy line has ready
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			n := 0
			count := func(devices.Sample) { n++ }
			for b.Loop() {
				x.dec.Feed(wire, start(), count)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(max(n, 1)), "ns/frame")
		})
	}
}

// TestDamageGivesNoWrongReading damages a frame between two others in every way that a line knows: a bit flips, a byte
// is lost, comes twice or is another. Whatever is read is what a whole frame says.
func TestDamageGivesNoWrongReading(t *testing.T) {
	for _, s := range subjects(t) {
		if s.driver.Name == "line" { // text without a checksum
			continue
		}
		for _, frame := range s.frames[:min(len(s.frames), 3)] {
			one := s.expect(t, frame)[0]
			for i := 0; i < len(frame); i += 1 + len(frame)/32 {
				for _, damaged := range damages(frame, i) {
					x := s.begin(t)
					x.feed(start(), slices.Concat(frame, damaged, frame, frame))
					x.end()
					if i := slices.IndexFunc(x.texts, func(got string) bool { return got != one && got != "{}" }); i >= 0 {
						t.Errorf("%s: % x gives %s, damaged to % x also %s", s.name, frame, one, damaged, x.texts[i])
					}
					if n := len(x.texts); n < 3 && !bytes.Equal(damaged, frame) {
						t.Errorf("%s: % x damaged to % x: %d of 3 whole frames were read", s.name, frame, damaged, n)
					}
				}
			}
		}
	}
}

// damages gives what may come of a frame whose i-th byte is hit.
func damages(frame []byte, i int) [][]byte {
	all := [][]byte{
		slices.Concat(frame[:i], frame[i+1:]),
		slices.Concat(frame[:i+1], frame[i:]),
		frame[:i],
	}
	for bit := range 8 {
		flipped := bytes.Clone(frame)
		flipped[i] ^= 1 << bit
		all = append(all, flipped)
	}
	return all
}

func TestFramesOfNumbersAllocateNothing(t *testing.T) {
	for _, s := range subjects(t) {
		if s.driver.Text || s.name == "sml" { // which makes a tree of each file, once a second
			continue
		}
		x := s.begin(t)
		frames := slices.DeleteFunc(slices.Clone(s.frames), func(frame []byte) bool { return strings.Contains(s.expect(t, frame)[0], `:"`) })
		if len(frames) == 0 { // strings need memory
			continue
		}
		wire := bytes.Join(frames[max(0, len(frames)-3):], nil)
		ignore := func(devices.Sample) {}
		if n := testing.AllocsPerRun(100, func() { x.dec.Feed(wire, start(), ignore) }); n != 0 {
			t.Errorf("%s: %v allocations for 3 frames", s.name, n)
		}
	}
}
