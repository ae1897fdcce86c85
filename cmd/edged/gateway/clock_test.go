// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestClockIsNotBelievedBeforeTheNewestKnownTime(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name    string
		built   time.Time
		kept    time.Time // zero: no earlier run
		service bool
		synced  bool
		want    bool
	}{
		{"first start", now.Add(-time.Hour), time.Time{}, false, false, true},
		{"clock before the build", now.Add(time.Hour), time.Time{}, false, false, false},
		{"clock before an earlier run", now.Add(-time.Hour), now.Add(time.Hour), false, false, false},
		{"clock after an earlier run", now.Add(-time.Hour), now.Add(-time.Minute), false, false, true},
		{"clock that leapt ahead", now.Add(-lifetime - time.Hour), time.Time{}, false, true, false},
		{"an earlier run's clock leapt ahead", now.Add(-time.Hour), now.Add(lifetime), false, false, true},
		{"a build of unknown time", time.Unix(0, 0), time.Time{}, false, false, true},
		{"the time service has no time yet", now.Add(-time.Hour), time.Time{}, true, false, false},
		{"the time service vouches", now.Add(-time.Hour), time.Time{}, true, true, true},
		{"a program in use for long, with a time service", now.Add(-lifetime - time.Hour), time.Time{}, true, true, true},
		{"a time service before the build", now.Add(time.Hour), time.Time{}, true, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			state, run := t.TempDir(), t.TempDir()
			if !c.kept.IsZero() {
				file := filepath.Join(state, "clock")
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chtimes(file, c.kept, c.kept); err != nil {
					t.Fatal(err)
				}
			}
			if c.service {
				if err := os.MkdirAll(filepath.Join(run, "systemd/timesync"), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			k := newClock(state, c.built)
			k.service, k.synced = run, func() bool { return c.synced }
			if got := k.Believed(); got != c.want {
				t.Errorf("believed: %v, want %v", got, c.want)
			}
		})
	}
}

func TestClockKeepsTheNewestTimeForLaterRuns(t *testing.T) {
	state := t.TempDir()
	k := newClock(state, time.Now().Add(-time.Hour))
	k.service = t.TempDir()
	before := time.Now().Add(-time.Second)
	if err := k.Keep(); err != nil {
		t.Fatal(err)
	}
	if floor := newClock(state, time.Unix(0, 0)).Floor(); floor.Before(before.Truncate(time.Second)) {
		t.Errorf("the next run's floor is %v, want about now", floor)
	}
	late := newClock(t.TempDir(), time.Now().Add(time.Hour))
	late.service = t.TempDir()
	floor := late.Floor()
	if err := late.Keep(); err != nil {
		t.Fatal(err)
	}
	if !late.Floor().Equal(floor) {
		t.Errorf("a time that is not believed moved the floor to %v", late.Floor())
	}
}
