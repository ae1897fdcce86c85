// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Each failure of an address makes its next login wait longer, but no other address.
func TestFailedLoginsAreSlowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(t, map[string]User{"u": {Password: secretOf("p")}, "h": {Password: secretOf(cheap)}}, false)
		took := func(c Credentials, want error) time.Duration {
			t.Helper()
			began := time.Now()
			if _, err := a.Login(t.Context(), c); !errors.Is(err, want) {
				t.Fatalf("%s from %s: %v, want %v", c.Username, c.Address, err, want)
			}
			return time.Since(began)
		}
		for _, c := range []Credentials{
			named("10.0.0.2", "stranger", "x"), named("127.0.0.9", "h", "x"), named("fd00::1:2", "h", "x"), named("10.0.0.1", "u", "x"),
		} {
			for i, want := range []time.Duration{0, 250, 500, 1000, 2000, 4000, 4000} {
				if d := took(c, ErrCredentials); d != want*time.Millisecond {
					t.Errorf("failure %d from %s: after %v, want %v", i, c.Address, d, want*time.Millisecond)
				}
			}
		}
		took(named("fd00::1:2", "h", "x"), ErrCredentials)
		if d := took(named("10.0.0.3", "h", "secret"), nil); d != 0 {
			t.Errorf("a good login from another address waits %v", d)
		}
		if d := took(named("10.0.0.1", "h", "secret"), nil); d != 0 {
			t.Errorf("a login that is known to be right waits %v", d)
		}
		if d := took(named("fd00::ffff:1", "u", "x"), ErrCredentials); d == 0 {
			t.Error("another address of the same IPv6 network does not wait")
		}
		time.Sleep(11 * time.Minute)
		if d := took(named("10.0.0.1", "u", "x"), ErrCredentials); d != 0 {
			t.Errorf("after a long time it still waits %v", d)
		}
	})
}

// While an address waits its turn, few of its logins wait, each until its CONNECT is late, and none is let in early.
func TestCrowdOfFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(t, map[string]User{"h": {Password: secretOf(cheap)}}, false)
		var mu sync.Mutex
		count := map[error]int{}
		try := func(n int) {
			var wg sync.WaitGroup
			for range n {
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					_, err := a.Login(ctx, named("10.0.0.1", "h", "x"))
					mu.Lock()
					defer mu.Unlock()
					count[err]++
				})
			}
			wg.Wait()
		}
		try(5) // at 0, 0.25, 0.75, 1.75 and 3.75 s
		if count[ErrCredentials] != 5 {
			t.Errorf("five: %v", count)
		}
		clear(count)
		try(500)
		if count[ErrCredentials] > 3 || count[context.DeadlineExceeded]+count[ErrCredentials] != maxWaiting || count[ErrCrowded] != 500-maxWaiting {
			t.Errorf("five hundred: %v", count)
		}
		if n := len(a.brake.places); n != 1 {
			t.Errorf("%d places", n)
		}
	})
}

// The table of addresses stays small, and those that wait stay in it.
func TestBrakeIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b brake
		held, _ := b.enter("held")
		for i := range 3 * maxBraked {
			p, ok := b.enter("10." + strconv.Itoa(i>>16) + "." + strconv.Itoa(i>>8&255) + "." + strconv.Itoa(i&255))
			if !ok {
				t.Fatal("turned away")
			}
			b.failed(p)
			b.leave(p)
			time.Sleep(time.Millisecond)
		}
		if n := len(b.places); n > maxBraked {
			t.Errorf("%d addresses are remembered", n)
		}
		if b.places["held"] != held {
			t.Error("one that waits is forgotten")
		}
		b.leave(held)
		if b.places["held"] != nil {
			t.Error("one that has not failed is remembered")
		}
	})
}
