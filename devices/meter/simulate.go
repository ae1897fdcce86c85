// SPDX-License-Identifier: Apache-2.0

package meter

import (
	"fmt"
	"strings"
	"time"

	"edged/devices"
	"edged/devices/checksum"
)

// simulator is a meter that sends text by itself or when it is asked.
type simulator struct {
	wander devices.Wander
	beat   devices.Beat
	write  func(s *simulator, out []byte) []byte
	got    []byte
	asked  bool // it speaks only when it is asked
}

func newDSMRSimulator(seed uint64) *simulator {
	crc, _ := checksum.New("crc16-arc")
	return &simulator{
		wander: devices.Wander{Seed: seed}, beat: devices.Beat{Period: time.Second},
		write: func(s *simulator, out []byte) []byte {
			text := "/ISk5\\2MT382-1000\r\n\r\n1-3:0.2.8(50)\r\n" + s.lines() + "!"
			return fmt.Appendf(append(out, text...), "%04X\r\n", crc.Sum([]byte(text)))
		},
	}
}

// lines are those of a house with panels.
func (s *simulator) lines() string {
	power := s.wander.Between(-1500, 2500, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "1-0:1.8.0(%010.3f*kWh)\r\n1-0:2.8.0(%010.3f*kWh)\r\n", 4000+float64(s.wander.N)/1000, 900.25)
	fmt.Fprintf(&b, "1-0:1.7.0(%06.3f*kW)\r\n1-0:2.7.0(%06.3f*kW)\r\n", max(power, 0)/1000, max(-power, 0)/1000)
	for i, code := range []string{"32", "52", "72"} {
		fmt.Fprintf(&b, "1-0:%s.7.0(%05.1f*V)\r\n", code, s.wander.Between(228, 236, i+1))
	}
	s.wander.N++
	return b.String()
}

// Tick sends each second, unless the meter is asked.
func (s *simulator) Tick(now time.Time, out []byte) ([]byte, time.Time) {
	if s.asked {
		return out, time.Time{}
	}
	if s.beat.Due(now) {
		out = s.write(s, out)
	}
	return out, s.beat.Next
}

// Receive answers the request of IEC 62056-21.
func (s *simulator) Receive(p []byte, _ time.Time, out []byte) []byte {
	for _, x := range p {
		if s.got = append(s.got, x); strings.HasSuffix(string(s.got), request) {
			s.got, out = s.got[:0], s.write(s, out)
		}
		s.got = s.got[max(0, len(s.got)-len(request)):]
	}
	return out
}
