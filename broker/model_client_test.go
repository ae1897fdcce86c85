// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"maps"
	"slices"
	"strconv"

	"edged/mqtt/wire"
)

// connect connects a session's client, in some way; where it is connected already it takes over.
func (m *model) connect(s *modelSession) {
	kept, version := m.next(4) > 0, []byte{3, 4, 5, 5}[m.next(4)]
	will := -1
	if m.next(3) == 0 {
		will = m.message(s, "will/"+s.id, byte(m.next(3)))
	}
	if old := s.conn; old != nil {
		m.note("%s is taken over", s.id)
		oldWill, oldKept := s.will, s.kept
		s.conn, s.unacked, s.will = nil, nil, -1
		if oldWill >= 0 {
			m.owe(oldWill, true)
		}
		if !oldKept {
			s.known = false
			s.reset()
		}
		defer old.drop()
	}
	if s.unsure {
		kept = false
	}
	m.attach(s, kept, version, will)
}

// attach is CONNECT, and what the standard wants both sides to do then.
func (m *model) attach(s *modelSession, kept bool, version byte, will int) {
	p := wire.ConnectPacket{Level: version, Clean: !kept, ClientID: s.id}
	if version == 5 {
		p.ReceiveMaximum = uint16([]int{0, 1, 3, 20}[m.next(4)])
		if kept {
			p.SessionExpiry = 3600
		}
	}
	if will >= 0 {
		msg := m.messages[will]
		p.Will = &wire.WillPacket{Message: wire.Message{Topic: msg.topic, Payload: []byte(strconv.Itoa(will)), QoS: msg.qos, Retain: true}}
	}
	m.note("%s connects: kept %v, version %d, Receive Maximum %d, will %d", s.id, kept, version, p.ReceiveMaximum, will)
	present := kept && s.known && s.kept
	if !present && !s.unsure {
		s.reset()
	}
	if !kept {
		s.reset()
	}
	s.conn = m.site.dial()
	ack := s.conn.connect(p)
	if ack.Code != 0 || ack.SessionPresent != (present && version > 3) && version > 3 {
		m.failf("CONNACK %+v, want session present %v", ack, present)
	}
	s.kept, s.known, s.unsure, s.version, s.will = kept, true, false, version, will
	s.resume(m)
}

// resume sends again what the client has not done with [MQTT-4.4.0-1].
func (s *modelSession) resume(m *model) {
	for _, id := range slices.Sorted(maps.Keys(s.sending)) {
		x := s.sending[id]
		if !x.released {
			s.conn.send(m.frame(s, x.index, 2, id, true))
			m.await(s, wire.Pubrec, id)
			m.oweAgain(x.index)
		}
		m.finish(s, id)
	}
}

// take handles a packet as a client has to.
func (m *model) take(s *modelSession, h byte, body []byte) {
	m.t.Helper()
	switch h >> 4 {
	case wire.Publish:
		m.deliver(s, s.conn.read(h, body))
	case wire.Pubrel:
		id, _ := wire.ReadAck(body, s.version)
		delete(s.received, id)
		delete(s.busy, id)
		s.conn.send(wire.AppendAck(nil, wire.Pubcomp, id, 0, s.version))
	case wire.Disconnect:
	default:
		m.failf("%s got packet type %d, % x", s.id, h>>4, body)
	}
}

// deliver takes a PUBLISH.
func (m *model) deliver(s *modelSession, x message) {
	m.t.Helper()
	if x.topic == "barrier" {
		if x.qos == 1 {
			s.conn.send(wire.AppendAck(nil, wire.Puback, x.id, 0, s.version))
		}
		return
	}
	index, err := strconv.Atoi(x.payload)
	if err != nil || index < 0 || index >= len(m.messages) || m.messages[index].topic != x.topic {
		m.failf("%s got %q to %q", s.id, x.payload, x.topic)
	}
	m.note("    %s gets %d at %d, identifier %d, dup %v", s.id, index, x.qos, x.id, x.dup)
	if x.retain {
		index = -1 - index // a will that is retained, to a new subscription
	}
	if was, busy := s.busy[x.id]; x.qos > 0 && busy && was != index {
		m.failf("%s: identifier %d stands for %d and for %d", s.id, x.id, was, index)
	}
	if !x.retain && s.seen[index] && x.qos > 0 && !x.dup {
		m.failf("%s got %d again, and DUP is not set", s.id, index)
	}
	s.seen[index] = true
	again := false
	switch x.qos {
	case 1:
		s.busy[x.id] = index
		s.unacked = append(s.unacked, x.id)
	case 2:
		_, again = s.received[x.id]
		s.received[x.id], s.busy[x.id] = index, index
	}
	if !again && !x.retain {
		s.first(m, index, x.qos)
	}
	switch {
	case x.qos == 2 && (!s.lazy || m.next(2) == 0):
		s.conn.send(wire.AppendAck(nil, wire.Pubrec, x.id, 0, s.version))
	case x.qos == 1 && !s.lazy:
		s.catchUp()
	}
}

// first hands a message to the application.
func (s *modelSession) first(m *model, index int, qos byte) {
	m.t.Helper()
	must, isMust := s.must[index]
	may, isMay := s.may[index]
	if !isMust && !isMay {
		m.failf("%s got %d, for which it has not asked", s.id, index)
	}
	if qos != may && may != anyQoS && (!isMust || qos != must) {
		m.failf("%s got %d at QoS %d, want %d or %d", s.id, index, qos, must, may)
	}
	if s.got[index]++; s.got[index] > 1 {
		if qos != 1 {
			m.failf("%s got %d of QoS %d %d times", s.id, index, qos, s.got[index])
		}
		return
	}
	msg := m.messages[index]
	for _, before := range s.order {
		x := m.messages[before]
		if x.from == msg.from && x.topic == msg.topic && s.qos[before] == qos && x.order > msg.order {
			m.failf("%s got %d after %d", s.id, index, before)
		}
	}
	s.order = append(s.order, index)
	s.qos[index] = qos
}

// catchUp acknowledges what was held back.
func (s *modelSession) catchUp() {
	for _, id := range s.unacked {
		delete(s.busy, id)
		s.conn.send(wire.AppendAck(nil, wire.Puback, id, 0, s.version))
	}
	s.unacked = nil
	for id := range s.received {
		s.conn.send(wire.AppendAck(nil, wire.Pubrec, id, 0, s.version))
	}
}

func (s *modelSession) satisfied() bool {
	for index := range s.must {
		if s.got[index] == 0 {
			return false
		}
	}
	return len(s.received) == 0
}

func (m *model) judge(s *modelSession) {
	m.t.Helper()
	for _, index := range slices.Sorted(maps.Keys(s.must)) {
		if s.got[index] == 0 {
			m.failf("%s never got %d of QoS %d: %+v", s.id, index, s.must[index], m.messages[index])
		}
	}
	for id, index := range s.received {
		m.failf("%s: identifier %d, of %d, is never released", s.id, id, index)
	}
}

// restart stops the broker, or kills it, and starts it again.
func (m *model) restart() {
	crash := m.next(2) == 0 && m.site.cfg.Durability != "memory"
	sure := !crash
	if crash && m.next(2) == 0 { // a promise that is kept after all others
		sure = true
		barrier := m.site.clean("barrier")
		barrier.retain("barrier", "x", 1)
		barrier.disconnect()
	}
	m.note("restart: crash %v, sure %v", crash, sure)
	for _, s := range m.sessions {
		if s.conn == nil {
			continue
		}
		// What the stop itself says is not read: it comes again, or was of QoS 0.
		if s.will >= 0 {
			m.owe(s.will, !crash)
		}
	}
	if crash {
		m.site.kill()
	} else {
		m.site.stop()
	}
	for _, s := range m.sessions {
		if !sure { // also one that has ended may be there again
			s.unsure = true
		}
		if s.conn != nil {
			s.conn.drop()
			s.conn, s.will, s.unacked = nil, -1, nil
		}
		if !s.kept {
			s.known = false
			s.reset()
		}
	}
	m.site.start()
}
