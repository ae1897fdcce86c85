// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"edged/mqtt"
)

// subscribe asks for what comes in, unless the server kept the session and this process has asked before.
func (s *session) subscribe(ctx context.Context) error {
	u := s.u
	filters := u.topics.asked()
	if s.ack.SessionPresent && u.asked || len(filters) == 0 {
		return nil
	}
	var subs []mqtt.Subscription
	for _, f := range filters {
		// Of MQTT 5: what we publish does not come back, what is retained comes only when the subscription is new, and
		// whoever retains a command is told so at once, not at the next start.
		subs = append(subs, mqtt.Subscription{Filter: f, QoS: 1, NoLocal: true, RetainHandling: 1, RetainAsPublished: true})
	}
	within, cancel := context.WithTimeout(ctx, subackTime)
	defer cancel()
	u.asked = false
	batch := u.topics.cloud.Batch()
	if batch == 0 {
		batch = len(subs)
	}
	var err error
	for part := range slices.Chunk(subs, batch) {
		if _, e := s.c.Subscribe(within, 0, part...); err == nil {
			err = e
		}
	}
	var no *mqtt.ReasonError
	switch {
	case errors.As(err, &no):
		u.log.Warn("the cloud refused a subscription, so no commands come from there", "code", "E320", "filter", no.Reason)
		u.state(func(st *Status) {
			st.Code, st.Text = "E320", fmt.Sprintf("the cloud refused the subscription to %q; allow it there, or correct uplink.receive", no.Reason)
		})
		return nil
	case err != nil:
		return fmt.Errorf("subscribe in the cloud: %w", err)
	}
	u.asked = true
	return nil
}
