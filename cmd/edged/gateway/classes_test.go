// SPDX-License-Identifier: Apache-2.0

package gateway

import "testing"

func TestClassOfATopic(t *testing.T) {
	for topic, want := range map[string]string{
		"edged/gw/event": "event", "edged/gw/status": "status", "edged/gw/info": "status", "edged/gw/health": "status",
		"edged/gw/dev/a/status": "status", "edged/gw/dev/a/health": "status", "edged/gw/dev/a/meta": "status",
		"homeassistant/device/edged_gw_a/config": "status",
		"edged/gw/dev/a/data":                    "readings", "edged/gw/dev/a/result": "readings", "edged/gw/dev/event/data": "readings",
		"plc/event": "readings", "event": "readings", "": "readings",
	} {
		if got := classNames()[classOf(topic)]; got != want {
			t.Errorf("%q is of the class %s, want %s", topic, got, want)
		}
	}
}
