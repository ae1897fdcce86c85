// SPDX-License-Identifier: Apache-2.0

package nmea_test

import (
	"fmt"
	"strings"
	"testing"

	"edged/devices"
	"edged/devices/nmea"
)

func TestSentences(t *testing.T) {
	for body, want := range map[string]string{
		"GPGGA,120000,,,,,0,00,99.9,,M,,M,,":                        `{"fix":0,"satellites":0,"hdop":99.9}`,
		"GPRMC,120000,V,4807.038,N,01131.000,E,0.0,0.0,230394,,,N":  `{"valid":false}`,
		"GPRMC,120000,A,4807.038,N,01131.000,E,10,84.4,230394,,,A":  `{"valid":true,"latitude":48.1173,"longitude":11.5166667,"speed":18.52,"course":84.4}`,
		"GPRMC,120000,A,4867.038,N,01131.000,E,,,230394,,,A":        `{"valid":true}`,
		"GPRMC,120000,A,4807.038,N,,,,,230394,,,A":                  `{"valid":true}`,
		"GPVTG,54.7,T,34.4,M,5.5,N,,K":                              `{"course":54.7,"speed":10.186}`,
		"PUBX,00,081350.00,4717.113210,N,00833.915187,E,546.589,G3": ``,
		"GPZDA,201530.00,04,07,2002,00,00":                          ``,
	} {
		var sum byte
		for i := range len(body) {
			sum ^= body[i]
		}
		var out strings.Builder
		c, err := devices.Decode(nmea.Driver(), nil, nil, strings.NewReader(fmt.Sprintf("$%s*%02X\r\n", body, sum)), &out)
		if got := strings.TrimSpace(out.String()); err != nil || got != want || c.Frames != 1 || c.Bad+c.Garbage != 0 {
			t.Errorf("%s: %s %+v %v, want %s", body, got, c, err, want)
		}
	}
}
