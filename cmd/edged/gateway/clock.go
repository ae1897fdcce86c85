// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"
)

// clock is the wall clock with an opinion on whether it may be believed: a board without a battery starts months in
// the past. It keeps the newest time that was believed in a file, so that no later run starts before it.
type clock struct {
	file    string
	latest  time.Time // a clock that says more has leapt; zero: not known
	started time.Time // carries the monotonic clock
	floor   atomic.Int64
	service string       // directory of files that tell of a time service, "/run" on a real system
	synced  func() bool  // whether the kernel's clock is synchronised
	looked  atomic.Int64 // monotonic seconds since started at which believed was found out, plus 1
	belief  atomic.Bool
}

// lifetime is how long after its build a program may be in use. A clock that says more, and that no time service vouches
// for, has leapt ahead (a spoilt battery-backed clock, a typing error); were that kept as the newest time, the right one
// would never be believed again.
const lifetime = 15 * 365 * 24 * time.Hour

// newClock reads the newest time that an earlier run saw in the state directory; built is the time of the sources.
func newClock(state string, built time.Time) *clock {
	c := &clock{file: filepath.Join(state, "clock"), started: time.Now(), service: "/run", synced: synchronised}
	if built.Unix() > 0 {
		c.latest = built.Add(lifetime)
	}
	floor := built
	if st, err := os.Stat(c.file); err == nil && st.ModTime().After(floor) && !c.leapt(st.ModTime()) {
		floor = st.ModTime()
	}
	c.floor.Store(floor.Unix())
	return c
}

// Floor is a time that has certainly passed.
func (c *clock) Floor() time.Time { return time.Unix(c.floor.Load(), 0) }

// Uptime is how long the gateway has run, whatever the wall clock did.
func (c *clock) Uptime() time.Duration { return time.Since(c.started) }

// Believed says whether the wall clock may be believed: it is not before the floor and, where a time service runs, the
// kernel reports it synchronised; where none does, it has not leapt. It is asked for every reading, so it looks only once a
// second.
func (c *clock) Believed() bool {
	second := int64(time.Since(c.started)/time.Second) + 1
	if c.looked.Load() != second {
		c.belief.Store(c.look())
		c.looked.Store(second)
	}
	return c.belief.Load()
}

func (c *clock) look() bool {
	now := time.Now()
	switch {
	case now.Unix() < c.floor.Load():
		return false
	case c.timeService():
		return c.synced()
	}
	return !c.leapt(now)
}

// leapt says whether a time is later than this program can be in use.
func (c *clock) leapt(t time.Time) bool { return !c.latest.IsZero() && t.After(c.latest) }

// timeService says whether systemd-timesyncd, chrony or ntpd runs here.
func (c *clock) timeService() bool {
	for _, name := range []string{"systemd/timesync", "chrony/chronyd.pid", "ntpd.pid"} {
		if _, err := os.Stat(filepath.Join(c.service, name)); err == nil {
			return true
		}
	}
	return false
}

// staUnsync is STA_UNSYNC of linux/timex.h.
const staUnsync = 0x40

func synchronised() bool {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	return err == nil && state >= 0 && t.Status&staUnsync == 0
}

// Keep notes the present time as the newest that was seen, where it is believed.
func (c *clock) Keep() error {
	now := time.Now()
	if !c.Believed() {
		return nil
	}
	c.floor.Store(now.Unix())
	f, err := os.OpenFile(c.file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Chtimes(c.file, now, now)
}
