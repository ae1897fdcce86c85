// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"strings"
	"sync"
	"time"

	"edged/broker/authority"
	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

// refusal is why a PUBLISH is dropped.
type refusal int

const (
	refusedRight     refusal = iota // its user has no right to the topic
	refusedCommand                  // RETAIN where there may be none
	refusedRetained                 // there is no room: it is delivered, but not retained
	refusedLogin                    // the client is not let in
	shedMemory                      // no refusal: a connection was closed for want of memory
	shedSession                     // no refusal: a session was given up
	refusedHandshake                // TLS or WebSocket
	refusedKinds
)

// refusals counts what was refused, and remembers what the log was told.
type refusals struct {
	mu    sync.Mutex
	count [refusedKinds]uint64
	told  map[string]time.Time
}

// sayAgain is how long the log hears nothing of the same again.
const sayAgain = time.Minute

// maxTold bounds what is remembered.
const maxTold = 256

// note counts a refusal and tells whether the log should hear of it, and how many there were of its kind.
func (x *refusals) note(why refusal, client string) (loud bool, n uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.count[why]++
	key, now := string(rune('0'+why))+client, time.Now()
	if last, known := x.told[key]; known && now.Sub(last) < sayAgain {
		return false, x.count[why]
	}
	if x.told == nil || len(x.told) >= maxTold {
		x.told = map[string]time.Time{}
	}
	x.told[key] = now
	return true, x.count[why]
}

// refuse counts and logs a refused message.
func (b *Broker) refuse(why refusal, s *session.Session, topic string) {
	client := ""
	if s != nil {
		client = s.ID
	}
	if why == refusedRetained {
		b.counters.Hit(statistics.Retained)
	}
	loud, n := b.refused.note(why, client)
	if !loud {
		return
	}
	switch why {
	case refusedRight:
		b.log.Warn("publish refused: the client has no right to the topic", "code", "E402", "client_id", client, "topic", topic, "so_far", n)
	case refusedCommand:
		b.log.Warn("publish refused: commands are never retained", "code", "E406", "client_id", client, "topic", topic, "so_far", n)
	default:
		b.log.Warn("a message was not retained: limits.retained or limits.retained_bytes is reached", "client_id", client, "topic", topic, "so_far", n)
	}
}

// refuses tells whether a PUBLISH may not be carried out: the reason code, or 0.
func (b *Broker) refuses(who authority.Client, s *session.Session, m *wire.Inbound) (reason byte) {
	if m.Topic[0] != '$' && (len(b.opts.NoRetain) == 0 || !m.Retain) && who.MayDoAll() {
		return 0
	}
	topic := string(m.Topic)
	switch {
	case !who.MayPublish(topic):
		b.refuse(refusedRight, s, strings.ToValidUTF8(topic, "?"))
		return wire.NotAuthorized
	case !mayAsk(who, m.Props):
		b.refuse(refusedRight, s, strings.ToValidUTF8(topic, "?"))
		return wire.NotAuthorized
	case m.Retain && matchesAny(b.opts.NoRetain, topic):
		b.refuse(refusedCommand, s, topic)
		return wire.NotAuthorized
	}
	return 0
}

// mayAsk tells whether a message may carry the response topic that its properties name, if any: whoever answers must not
// be made to publish what the one who asks could not read.
func mayAsk(who authority.Client, props []byte) bool {
	topic := wire.ResponseTopic(props)
	return topic == nil || who.MayRead(string(topic))
}

func matchesAny(filters []string, topic string) bool {
	for _, f := range filters {
		if wire.Matches(f, topic) {
			return true
		}
	}
	return false
}
