// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

func TestHowASessionEnded(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     attempt
		taken bool
		want  string
	}{
		{"the peer hung up", attempt{err: io.EOF, theirs: true}, false, "closed"},
		{"a reset", attempt{err: errors.New("broken pipe")}, false, "broken"},
		{"nothing acknowledged", attempt{err: fmt.Errorf("%w for 7s", errDead)}, false, "dead"},
		{"nothing acknowledged, seen by the kernel", attempt{err: fmt.Errorf("%w (%w)", errDead, io.EOF), theirs: true}, false, "dead"},
		{"another network", attempt{err: fmt.Errorf("%w: 10.0.0.2", errMoved)}, false, "moved"},
		{"the server said so", attempt{err: io.EOF, why: unavailable}, false, "dismissed"},
		{"another client", attempt{err: io.EOF, theirs: true, why: taken}, true, "taken_over"},
	} {
		if got := endOf(&c.a, c.taken).String(); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	e := Ends{}
	e[Dead] += 2
	if all := e.ByName(); len(all) != int(ends) || all["dead"] != 2 || all["closed"] != 0 {
		t.Errorf("the counts are %v", all)
	}
}
