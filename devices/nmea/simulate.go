// SPDX-License-Identifier: Apache-2.0

package nmea

import (
	"fmt"
	"time"

	"edged/devices"
)

// simulator is a receiver that stands still.
type simulator struct {
	wander devices.Wander
	beat   devices.Beat
}

func newSimulator(seed uint64) *simulator {
	return &simulator{wander: devices.Wander{Seed: seed}, beat: devices.Beat{Period: time.Second}}
}

// Tick writes GGA and RMC in turns.
func (s *simulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if !s.beat.Due(now) {
		return out, s.beat.Next
	}
	lat, lon := s.wander.Between(24.0420, 24.0424, 0), s.wander.Between(59.9610, 59.9614, 1)
	body := fmt.Sprintf("GPGGA,120000.00,48%07.4f,N,009%07.4f,E,1,09,%.2f,%.1f,M,47.6,M,,", lat, lon, s.wander.Between(0.8, 1.2, 2), s.wander.Between(478, 482, 3))
	if s.wander.N%2 == 1 {
		body = fmt.Sprintf("GPRMC,120000.00,A,48%07.4f,N,009%07.4f,E,%.3f,,221126,,,A", lat, lon, s.wander.Between(0, 0.2, 4))
	}
	s.wander.N++
	var sum byte
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Appendf(out, "$%s*%02X\r\n", body, sum), s.beat.Next
}

// Receive hears nothing.
func (*simulator) Receive(_ []byte, _ time.Time, out []byte) []byte { return out }
