// SPDX-License-Identifier: Apache-2.0

package port

import (
	"encoding/binary"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeDrivers answer for the driver of a tty, and note what they were asked.
type fakeDrivers struct {
	mu     sync.Mutex
	calls  []string
	flags  uint32 // of the last struct that was set
	refuse error  // TIOCSRS485
	queued []int  // TIOCOUTQ, one after the other
	deaf   bool   // the driver does not know of its chip
}

func (f *fakeDrivers) ioctl(_ int, request uint, p []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch request {
	case unix.TIOCSRS485:
		f.calls = append(f.calls, "rs485")
		f.flags = binary.NativeEndian.Uint32(p)
		if len(p) != 32 {
			return unix.EFAULT
		}
		return f.refuse
	case unix.TIOCGSERIAL:
		binary.NativeEndian.PutUint32(p[16:], 1)
	case unix.TIOCSSERIAL:
		f.calls = append(f.calls, "latency")
		f.flags = binary.NativeEndian.Uint32(p[16:])
	}
	return nil
}

func (f *fakeDrivers) number(_ int, request uint) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if request == unix.TIOCSERGETLSR {
		if f.deaf {
			return 0, unix.ENOTTY
		}
		f.calls = append(f.calls, "chip")
		return 1, nil
	}
	n := 0
	if len(f.queued) > 0 {
		n, f.queued = f.queued[0], f.queued[1:]
	}
	return n, nil
}

func (f *fakeDrivers) note(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

// onPTY opens a pseudo terminal as a UART.
func onPTY(t *testing.T) (*uart, *PTY) {
	t.Helper()
	y, err := OpenPTY()
	if err != nil {
		t.Fatal(err)
	}
	s := New("", nil)
	p, err := s.openUART(y.Name, Mode{9600, 8, 'N', 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), y.Close()); err != nil {
			t.Error(err)
		}
	})
	return p.(*uart), y
}

func TestTheKernelTurnsTheLineRoundWhereItCan(t *testing.T) {
	u, _ := onPTY(t)
	for _, c := range []struct {
		name   string
		way    RS485
		usb    bool
		refuse error
		asked  bool
		fails  bool
	}{
		{"off", RS485Off, false, nil, false, false},
		{"of a device alone on its line", "", false, nil, false, false},
		{"auto", RS485Auto, false, nil, true, false},
		{"auto, and the driver can't", RS485Auto, false, unix.ENOTTY, true, false},
		{"auto on a USB adapter, some of which fail on the question", RS485Auto, true, nil, false, false},
		{"kernel on a USB adapter", RS485Kernel, true, nil, true, false},
		{"kernel, and the driver can't", RS485Kernel, false, unix.EINVAL, true, true},
	} {
		f := &fakeDrivers{refuse: c.refuse}
		p, err := turnRound(f, u, Request{Name: "/dev/x", RS485: c.way}, c.usb)
		e := new(Error)
		if asked := slices.Contains(f.calls, "rs485"); asked != c.asked || (err != nil) != c.fails || err == nil && p != Port(u) || c.fails && !errors.As(err, &e) {
			t.Errorf("%s: asked %v, %v", c.name, asked, err)
		}
		if c.asked && f.flags != 3 { // SER_RS485_ENABLED, SER_RS485_RTS_ON_SEND
			t.Errorf("%s: flags %#x", c.name, f.flags)
		}
	}
}

func TestRTSIsUpWhileBytesAreOut(t *testing.T) {
	u, y := onPTY(t)
	f := &fakeDrivers{queued: []int{8, 5, 0}}
	l := &rtsLine{uart: u, drivers: f, mode: Mode{9600, 8, 'N', 1}, rts: func(on bool) error {
		f.note(map[bool]string{true: "up", false: "down"}[on])
		return nil
	}}
	if _, err := l.Write([]byte("request!")); err != nil {
		t.Fatal(err)
	}
	if want := []string{"up", "chip", "chip", "chip", "down"}; !slices.Equal(f.calls, want) || len(f.queued) > 0 {
		t.Errorf("calls %q, want %q; %d looks at the buffer are left", f.calls, want, len(f.queued))
	}
	buf := make([]byte, 8)
	if n, err := y.Read(buf); err != nil || string(buf[:n]) != "request!" {
		t.Errorf("%q came: %v", buf[:n], err)
	}

	f.deaf = true
	begun := time.Now()
	if _, err := l.Write([]byte("request!")); err != nil {
		t.Fatal(err)
	}
	if passed, least := time.Since(begun), 9*l.mode.Character(); passed < least {
		t.Errorf("RTS went down after %v; 8 bytes and the character behind them need %v", passed, least)
	}
}

func TestAnAdapterIsToldToBeQuick(t *testing.T) {
	f := &fakeDrivers{}
	lowLatency(f, 0)
	if want := uint32(1 | 1<<13); f.flags != want || !slices.Equal(f.calls, []string{"latency"}) {
		t.Errorf("flags %#x after %q, want %#x", f.flags, f.calls, want)
	}
}
