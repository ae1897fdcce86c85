// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"strings"
	"testing"
	"time"

	"edged/uplink/reach"
)

func TestExpiryIsToldInTime(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	for _, c := range []struct {
		life, left time.Duration
		want       int
	}{
		{365 * day, 31 * day, 0},
		{365 * day, 30 * day, 30},
		{365 * day, 15 * day, 30},
		{365 * day, 14 * day, 14},
		{365 * day, 7 * day, 7},
		{365 * day, -day, 7},
		{90 * day, 31 * day, 0},
		{90 * day, 30 * day, 30},
		{6 * day, 3 * day, 0},
		{6 * day, 2 * day, 7},
	} {
		end := now.Add(c.left)
		if got := stage(reach.Certificate{Begin: end.Add(-c.life), End: end}, now); got != c.want {
			t.Errorf("%v left of %v: told at %d days, want %d", c.left, c.life, got, c.want)
		}
	}
	for _, c := range []struct {
		ours bool
		left time.Duration
		want string
	}{
		{true, 3*day + time.Hour, `our certificate "x" expires in 3 days, on 2001-09-12; replace the files`},
		{false, 20 * time.Hour, `the server's certificate "x" expires in 0 days, on 2001-09-09; whoever runs`},
		{true, -time.Hour, `our certificate "x" expired on 2001-09-09; replace`},
	} {
		got := expiryText(reach.Certificate{Ours: c.ours, Name: "x", End: now.Add(c.left)}, now)
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("got %q, want %q…", got, c.want)
		}
	}
}
