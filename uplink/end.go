// SPDX-License-Identifier: Apache-2.0

package uplink

import "errors"

// End is how a session with the cloud ended.
type End byte

// The ends of a session.
const (
	Closed    End = iota // the peer closed or reset the connection
	Dismissed            // the server said that it ends it (MQTT 5)
	TakenOver            // another client has our id (E313)
	Dead                 // nothing was acknowledged for too long
	Moved                // the address that we had is gone
	Broken               // anything else
	ends
)

// String is the word by which it is counted.
func (e End) String() string {
	return [ends]string{"closed", "dismissed", "taken_over", "dead", "moved", "broken"}[e]
}

// Ends counts the sessions after the first, by how the one before ended.
type Ends [ends]uint64

// ByName is the counts by their words; all are in it.
func (e Ends) ByName() map[string]uint64 {
	all := make(map[string]uint64, ends)
	for i, n := range e {
		all[End(i).String()] = n
	}
	return all
}

// errMoved is why the watch ended a session whose address this machine has no more.
var errMoved = errors.New("the address of this link is gone")

// endOf tells how a session that was accepted ended.
func endOf(a *attempt, takenOver bool) End {
	switch {
	case takenOver:
		return TakenOver
	case errors.Is(a.err, errDead):
		return Dead
	case errors.Is(a.err, errMoved):
		return Moved
	case a.why != unknown:
		return Dismissed
	case a.theirs:
		return Closed
	}
	return Broken
}
