// SPDX-License-Identifier: Apache-2.0

package vedirect

import (
	"fmt"
	"time"

	"edged/devices"
)

// simulator is a solar charger.
type simulator struct {
	wander devices.Wander
	beat   devices.Beat
}

func newSimulator(seed uint64) *simulator {
	return &simulator{wander: devices.Wander{Seed: seed}, beat: devices.Beat{Period: time.Second}}
}

// Tick writes a block each second.
func (s *simulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if s.beat.Due(now) {
		out = s.block(out)
	}
	return out, s.beat.Next
}

// Receive hears nothing.
func (*simulator) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }

func (s *simulator) block(out []byte) []byte {
	volts, amps := s.wander.Between(12.6, 14.2, 0), s.wander.Between(0.5, 8, 1)
	text := fmt.Sprintf("\r\nPID\t0xA042\r\nFW\t123\r\nSER#\tHQ1411MYIKN\r\nV\t%.0f\r\nI\t%.0f\r\nVPV\t%.0f\r\nPPV\t%.0f\r\nCS\t3\r\nERR\t0\r\nLOAD\tON\r\nIL\t%.0f\r\nH19\t8272\r\nH20\t%d\r\nHSDS\t274\r\nChecksum\t",
		1000*volts, 1000*amps, 1000*s.wander.Between(28, 34, 2), volts*amps, 1000*s.wander.Between(0, 2, 3), s.wander.N/100)
	s.wander.N++
	var sum byte
	for i := range len(text) {
		sum += text[i]
	}
	return append(append(out, text...), -sum)
}
