// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"edged/mqtt"
	"edged/uplink/asked"
)

// subscribe asks for what comes in, and takes back what an earlier configuration asked for, unless the server kept the
// session and this process has done so before.
func (s *session) subscribe(ctx context.Context) error {
	u := s.u
	if s.ack.SessionPresent && u.asked {
		return nil
	}
	u.asked = false
	within, cancel := context.WithTimeout(ctx, subackTime)
	defer cancel()
	filters := u.topics.asked()
	var old []string
	if s.ack.SessionPresent {
		old = beyond(u.subscribed, filters)
	}
	s.note(slices.Concat(filters, old)) // before: what the server may know is on record
	refused, err := s.ask(within, filters)
	if err != nil {
		return err
	}
	if err := s.takeBack(within, old); err != nil {
		return err
	}
	s.note(filters)
	u.asked = !refused
	return nil
}

// beyond are the filters of the book that can be in an UNSUBSCRIBE: its file is one that somebody may have changed.
func beyond(b *asked.Book, filters []string) []string {
	return slices.DeleteFunc(b.Beyond(filters), func(f string) bool { return !validFilter(f) })
}

func (s *session) note(filters []string) {
	if err := s.u.subscribed.Note(s.line.Target.String()+" "+s.u.cfg.ClientID, filters); err != nil {
		s.u.log.Info("what is subscribed to in the cloud may stay so when uplink.receive changes", "err", err)
	}
}

// batches are filters as many at a time as the cloud takes.
func (s *session) batches(filters []string) [][]string {
	size := s.u.topics.cloud.Batch()
	if size == 0 {
		size = max(len(filters), 1)
	}
	return slices.Collect(slices.Chunk(filters, size))
}

func (s *session) ask(ctx context.Context, filters []string) (refused bool, err error) {
	u := s.u
	for _, part := range s.batches(filters) {
		var subs []mqtt.Subscription
		for _, f := range part {
			// Of MQTT 5: what we publish does not come back, what is retained comes only when the subscription is new, and
			// whoever retains a command is told so at once, not at the next start.
			subs = append(subs, mqtt.Subscription{Filter: f, QoS: 1, NoLocal: true, RetainHandling: 1, RetainAsPublished: true})
		}
		if _, e := s.c.Subscribe(ctx, 0, subs...); err == nil {
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
		return true, nil
	case err != nil:
		return false, fmt.Errorf("subscribe in the cloud: %w", err)
	}
	return false, nil
}

// takeBack ends subscriptions that the configuration does not have any more. One that the server does not end is not
// looked at again: what comes from it is not let in.
func (s *session) takeBack(ctx context.Context, old []string) error {
	for _, part := range s.batches(old) {
		err := s.c.Unsubscribe(ctx, part...)
		var no *mqtt.ReasonError
		switch {
		case errors.As(err, &no):
			s.u.log.Info("the cloud keeps a subscription that uplink.receive does not have any more", "filter", no.Reason, "err", no)
		case err != nil:
			return fmt.Errorf("unsubscribe in the cloud: %w", err)
		default:
			s.u.log.Info("unsubscribed in the cloud what uplink.receive does not have any more", "filters", part)
		}
	}
	return nil
}
