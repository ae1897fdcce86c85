// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"time"

	"edged/broker/authority"
	"edged/broker/session"
	"edged/mqtt/wire"
)

func newWill(w *wire.WillPacket, user string) *session.Will {
	if w == nil {
		return nil
	}
	x := &session.Will{Message: w.Message, Life: int64(w.Life), Delay: w.Delay}
	x.Message.User = user
	return x
}

// acceptsWill tells whether a client may come in with a will.
func (b *Broker) acceptsWill(who authority.Client, w *wire.WillPacket) bool {
	switch {
	case w == nil:
		return true
	case w.Retain && matchesAny(b.opts.NoRetain, w.Topic):
		return false
	}
	return who.MayPublish(w.Topic) && mayAsk(who, w.Props)
}

// publishWill publishes a session's will, once, if its user may still do so.
func (b *Broker) publishWill(p *publication, s *session.Session, w *session.Will) {
	m := w.Message
	if b.client(s).MayPublish(m.Topic) && !tooDeep(m.Topic, b.limits().TopicLevels) {
		if w.Life > 0 {
			m.Expires = time.Now().Unix() + w.Life
		}
		b.publish(p, &m, []byte(m.Topic), nil, 0)
	}
	s.Lock()
	defer s.Unlock()
	if s.Will == w {
		s.Will = nil
	}
}

func tooDeep(topic string, levels int) bool {
	for i := range len(topic) {
		if topic[i] == '/' {
			levels--
		}
	}
	return levels <= 0
}
