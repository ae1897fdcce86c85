// SPDX-License-Identifier: Apache-2.0

package broker

import "testing"

// The clock of messages goes on over a restart by as long as the machine was up, never goes back, and does not believe
// the wall clock.
func TestClockGoesOnOverARestart(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		name string
		from replayed
		boot string
		up   int64
		want int64
	}{
		{"the same boot", replayed{clockRecord{1000, 50, "a"}, 1200}, "a", 5050, 6000},
		{"the same boot, and a message after its record", replayed{clockRecord{1000, 50, "a"}, 1200}, "a", 51, 1200},
		{"another boot", replayed{clockRecord{1000, 50, "a"}, 1200}, "b", 9050, 1200},
		{"nobody knows the boot", replayed{clockRecord{1000, 50, ""}, 900}, "", 9050, 1000},
	} {
		if c := newClock(&x.from, x.boot, x.up); c.now() < x.want || c.now() > x.want+500 {
			t.Errorf("%s: %d, want %d", x.name, c.now(), x.want)
		}
	}
	boot, up := machineTime()
	if boot == "" || up <= 0 {
		t.Errorf("the machine tells %q, %d", boot, up)
	}
	r := clockRecord{1, 2, "boot"}
	if got, ok := decodeClock(r.encode()); !ok || got != r {
		t.Errorf("%+v", got)
	}
	if _, ok := decodeClock([]byte("short")); ok {
		t.Error("a short record was taken")
	}
}
