// SPDX-License-Identifier: Apache-2.0

package gpio

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"edged/devices"
)

// fakeKernel has chips of lines. A line that is taken is a pipe, into which the test writes events.
type fakeKernel struct {
	t     *testing.T
	chips map[string][]string // names of lines by the base name of the chip's device
	busy  map[uint32]string   // who has a line
	fail  error               // of taking a line

	mu      sync.Mutex
	request lineRequest // the last
	events  *os.File    // the pipe's other end
	level   bool
	seqno   uint32
	clock   time.Duration
	down    error // of reading and setting
}

func newChips(t *testing.T, k *fakeKernel) *Chips {
	t.Helper()
	k.t = t
	dir := t.TempDir()
	for name := range k.chips {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return &Chips{dir, kernel{k.ioctl, func() time.Duration { k.mu.Lock(); defer k.mu.Unlock(); return k.clock }}}
}

func (k *fakeKernel) ioctl(f *os.File, request uintptr, arg unsafe.Pointer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	lines := k.chips[filepath.Base(f.Name())]
	switch request {
	case getChipInfo:
		(*chipInfo)(arg).lines = uint32(len(lines))
	case getLineInfo:
		info := (*lineInfo)(arg)
		copy(info.name[:], lines[info.offset])
		copy(info.consumer[:], k.busy[info.offset])
	case getLine:
		r := (*lineRequest)(arg)
		k.request = *r
		if k.fail != nil {
			return k.fail
		}
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			k.t.Error(err)
		}
		r.fd, k.events = int32(p[0]), os.NewFile(uintptr(p[1]), "events")
	case getValues:
		v := (*lineValues)(arg)
		if k.down != nil {
			return k.down
		}
		if v.mask == 1 && k.level {
			v.bits = 1
		}
	case setValues:
		v := (*lineValues)(arg)
		if k.down != nil {
			return k.down
		}
		k.level = v.mask&v.bits&1 != 0
	default:
		k.t.Errorf("ioctl %#x", request)
	}
	return nil
}

// edge is one that the kernel saw; what is skipped was lost.
func (k *fakeKernel) edge(skipped uint32, rising bool, at time.Duration) []byte {
	k.seqno += 1 + skipped
	b := make([]byte, eventSize)
	binary.NativeEndian.PutUint64(b, uint64(at))
	binary.NativeEndian.PutUint32(b[8:], map[bool]uint32{true: eventRising, false: eventFalling}[rising])
	binary.NativeEndian.PutUint32(b[20:], k.seqno)
	return b
}

func (k *fakeKernel) send(b ...[]byte) {
	k.t.Helper()
	for _, p := range b {
		if _, err := k.events.Write(p); err != nil {
			k.t.Fatal(err)
		}
	}
}

func raspberry() map[string][]string {
	return map[string][]string{"gpiochip0": {"ID_SDA", "ID_SCL", "GPIO2", "GPIO3", "GPIO17"}, "gpiochip1": {"", "BT_ON"}}
}

func TestLinesAreFound(t *testing.T) {
	two := map[string][]string{"gpiochip0": {"A", "X"}, "gpiochip10": {"B"}, "gpiochip2": {"X"}}
	for _, c := range []struct {
		chips  map[string][]string
		name   string
		chip   string
		offset uint32
		want   string // of the error
	}{
		{raspberry(), "GPIO17", "gpiochip0", 4, ""},
		{raspberry(), "BT_ON", "gpiochip1", 1, ""},
		{raspberry(), "J8-11", "gpiochip0", 4, ""},
		{raspberry(), "J8-3", "gpiochip0", 2, ""},
		{raspberry(), "gpiochip1:0", "gpiochip1", 0, ""},
		{raspberry(), "J8-1", "", 0, `pin "J8-1" of the header is no GPIO line`},
		{raspberry(), "GPIO99", "", 0, `no line is named "GPIO99"`},
		{raspberry(), "gpiochip0:x", "", 0, `"gpiochip0:x" is no GPIO line`},
		{raspberry(), "../x:1", "", 0, `"../x:1" is no GPIO line`},
		{two, "X", "", 0, `several lines are named "X": say which, such as "gpiochip0:1"`},
		{two, "B", "gpiochip10", 0, ""},
		{nil, "GPIO17", "", 0, "this machine has no GPIO lines"},
	} {
		chips := newChips(t, &fakeKernel{chips: c.chips})
		at, err := chips.find(c.name)
		if c.want != "" {
			if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code != devices.Absent || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%s: %v, want %s", c.name, err, c.want)
			}
			continue
		}
		if err != nil || filepath.Base(at.chip) != c.chip || at.offset != c.offset {
			t.Errorf("%s is %+v, %v; want %s %d", c.name, at, err, c.chip, c.offset)
		}
	}
}

// TestALinkIsNoChip is gpiochip4 of a Raspberry Pi 5.
func TestALinkIsNoChip(t *testing.T) {
	chips := newChips(t, &fakeKernel{chips: raspberry()})
	if err := os.Symlink("gpiochip0", filepath.Join(chips.dev, "gpiochip4")); err != nil {
		t.Fatal(err)
	}
	if at, err := chips.find("GPIO17"); err != nil || filepath.Base(at.chip) != "gpiochip0" {
		t.Errorf("%+v, %v", at, err)
	}
}

func TestLinesAreTakenAsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		config devices.LineConfig
		flags  uint64
		attr   uint32
		value  uint64
	}{
		"input":      {devices.LineConfig{}, flagInput | flagEdgeRising | flagEdgeFalling, 0, 0},
		"switch":     {devices.LineConfig{Low: true, Pull: "up", Debounce: 20 * time.Millisecond}, flagInput | flagEdgeRising | flagEdgeFalling | flagActiveLow | flagPullUp, attrDebounce, 20000},
		"counter":    {devices.LineConfig{Rising: true, Pull: "down", Edges: 1024}, flagInput | flagEdgeRising | flagPullDown, 0, 0},
		"no pull":    {devices.LineConfig{Pull: "off"}, flagInput | flagEdgeRising | flagEdgeFalling | flagPullOff, 0, 0},
		"output":     {devices.LineConfig{Output: true}, flagOutput, 0, 0},
		"output, on": {devices.LineConfig{Output: true, Low: true, Initial: true}, flagOutput | flagActiveLow, attrValues, 1},
		"open drain": {devices.LineConfig{Output: true, Drive: "open-drain"}, flagOutput | flagOpenDrain, 0, 0},
	} {
		k := &fakeKernel{chips: raspberry()}
		c.config.Name = "GPIO17"
		l, err := newChips(t, k).Line(c.config)
		if err != nil {
			t.Fatal(err)
		}
		r := k.request
		if r.numLines != 1 || r.offsets[0] != 4 || text(r.consumer) != "edged" || r.config.flags != c.flags || r.eventSize != uint32(c.config.Edges) {
			t.Errorf("%s: %+v", name, r)
		}
		if c.attr == 0 && r.config.numAttrs != 0 {
			t.Errorf("%s: %d attributes", name, r.config.numAttrs)
		}
		if a := r.config.attrs[0]; c.attr != 0 && (r.config.numAttrs != 1 || a.attr.id != c.attr || a.mask != 1 || binary.NativeEndian.Uint64(a.attr.value[:]) != c.value) {
			t.Errorf("%s: attribute %+v", name, a)
		}
		if err := errors.Join(l.Close(), k.events.Close()); err != nil {
			t.Error(err)
		}
	}
}

func TestRefusalsSayWhy(t *testing.T) {
	for _, c := range []struct {
		err  error
		busy map[uint32]string
		code string
		want string
	}{
		{unix.EBUSY, map[uint32]string{4: "gpio-fan"}, devices.Busy, `the line GPIO17 is in use by "gpio-fan"`},
		{unix.EBUSY, nil, devices.Busy, `the line GPIO17 is in use:`},
		{unix.EPERM, nil, devices.Forbidden, "the kernel does not give the line GPIO17"},
		{unix.EINVAL, nil, devices.Absent, "the kernel does not give the line GPIO17: invalid argument: its chip has no such line"},
	} {
		_, err := newChips(t, &fakeKernel{chips: raspberry(), fail: c.err, busy: c.busy}).Line(devices.LineConfig{Name: "GPIO17"})
		if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code != c.code || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s %s", c.err, err, c.code, c.want)
		}
	}
}

func taken(t *testing.T, k *fakeKernel) *Line {
	t.Helper()
	k.chips = raspberry()
	l, err := newChips(t, k).Line(devices.LineConfig{Name: "GPIO17"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestEdges(t *testing.T) {
	k := &fakeKernel{clock: 100 * time.Second}
	l := taken(t, k)
	defer l.Close()
	other := make([]byte, eventSize) // of a kind that a later kernel may have
	k.send(k.edge(0, true, 99*time.Second), other, k.edge(0, false, 99500*time.Millisecond), k.edge(7, true, 100*time.Second))
	for i, want := range []devices.Edge{
		{Clock: 99 * time.Second, Active: true}, {Clock: 99500 * time.Millisecond}, {Clock: 100 * time.Second, Active: true, Lost: 7},
	} {
		e, err := l.Next()
		if err != nil {
			t.Fatal(err)
		}
		age := k.clock - want.Clock
		if d := time.Since(e.At) - age; d < 0 || d > 10*time.Second {
			t.Errorf("edge %d is of %v ago, want %v", i, time.Since(e.At), age)
		}
		e.At = time.Time{}
		if e != want {
			t.Errorf("edge %d is %+v, want %+v", i, e, want)
		}
	}
}

// TestFirstEdgesMayBeLost: the kernel counts from 1 when the line is taken.
func TestFirstEdgesMayBeLost(t *testing.T) {
	k := &fakeKernel{}
	l := taken(t, k)
	defer l.Close()
	k.seqno = 1<<32 - 1 // and its count may begin anew
	l.seqno = k.seqno - 2
	k.send(k.edge(0, true, 1))
	if e, err := l.Next(); err != nil || e.Lost != 2 {
		t.Errorf("%+v, %v", e, err)
	}
	k.send(k.edge(3, true, 2))
	if e, err := l.Next(); err != nil || e.Lost != 3 {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestCloseEndsAWait(t *testing.T) {
	k := &fakeKernel{}
	l := taken(t, k)
	ended := make(chan error, 1)
	go func() {
		_, err := l.Next()
		ended <- err
	}()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("it ends with %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Next waits on")
	}
}

func TestALineThatIsGone(t *testing.T) {
	k := &fakeKernel{}
	l := taken(t, k)
	defer l.Close()
	k.down = unix.ENODEV
	_, read := l.Active()
	set := l.Set(true)
	if err := k.events.Close(); err != nil {
		t.Fatal(err)
	}
	_, next := l.Next()
	for what, err := range map[string]error{"read": read, "set": set, "next": next} {
		if trouble := new(devices.Trouble); !errors.As(err, &trouble) || trouble.Code != devices.Absent {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestOutputsAreSetAndRead(t *testing.T) {
	k := &fakeKernel{}
	l := taken(t, k)
	defer l.Close()
	for _, on := range []bool{true, false, true} {
		if err := l.Set(on); err != nil {
			t.Fatal(err)
		}
		if is, err := l.Active(); err != nil || is != on {
			t.Errorf("set %v, read %v, %v", on, is, err)
		}
	}
}

func FuzzEvents(f *testing.F) {
	f.Add(make([]byte, eventSize))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < eventSize {
			return
		}
		if e, ok := parseEvent(b); ok && e.timestamp != binary.NativeEndian.Uint64(b) {
			t.Errorf("% x is %+v", b, e)
		}
	})
}
