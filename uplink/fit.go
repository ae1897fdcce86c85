// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"time"

	"edged/mqtt"
)

// fit returns an entry as this session's server takes it: a server of MQTT 5 may retain nothing, or speak a lower QoS.
// late says that its time has run out, so that it is sent no more.
func (s *session) fit(e *entry) (m mqtt.Message, late bool) {
	m = e.msg
	if !e.until.IsZero() {
		if m.Expiry = time.Until(e.until); m.Expiry <= 0 {
			return m, true
		}
	}
	cloud := s.u.topics.cloud
	m.QoS = min(m.QoS, s.ack.MaximumQoS, cloud.QoS())
	m.Retain = m.Retain && s.ack.RetainAvailable && cloud.Retains()
	return m, false
}
