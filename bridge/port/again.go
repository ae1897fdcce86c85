// SPDX-License-Identifier: Apache-2.0

package port

import (
	"errors"
	"time"
)

const (
	againMin     = 100 * time.Millisecond
	againMissing = time.Second     // longest wait for a port that is not there: it is seen within 2 s
	againRefused = 5 * time.Second // for one that is there and not ours
	steady       = 5 * time.Second // open so long, a port is opened again at once
)

// Again says how long to wait before a port is opened again. The zero value is ready.
type Again struct{ wait time.Duration }

// After gives the wait after an error of the port, which had been open for so long; it is to be drawn from its upper half.
func (a *Again) After(err error, open time.Duration) time.Duration {
	if a.wait == 0 || open >= steady {
		a.wait = againMin
	}
	wait, longest := a.wait, againRefused
	switch e := new(Error); {
	case !errors.As(err, &e):
		longest = againMissing
	case e.Pause > 0:
		longest = e.Pause
	case e.Code == Missing:
		longest = againMissing
	}
	a.wait = min(2*wait, longest)
	return wait
}
