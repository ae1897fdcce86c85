// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// model is what the standard says that sessions are and are owed, beside a broker that is driven at random.
type model struct {
	t        *testing.T
	site     *site
	in       []byte // decides what happens
	sessions map[string]*modelSession
	messages []*modelMessage
	log      []string
}

// modelMessage is one that somebody published. Its payload is its index.
type modelMessage struct {
	from, topic string
	qos         byte
	order       int // among those of its publisher
}

// modelSession is one client's standing, and its client, which remembers what the standard wants it to.
type modelSession struct {
	id       string
	kept     bool // it outlives its connection
	known    bool // the broker has it
	unsure   bool // a crash may have undone what it was last told
	version  byte
	filters  map[string]byte
	must     map[int]byte // messages that it has to get, by index: their QoS
	may      map[int]byte // messages that it may get
	got      map[int]int  // how often the application got a message
	order    []int        // first deliveries
	qos      map[int]byte
	seen     map[int]bool   // messages that came over the wire
	busy     map[uint16]int // identifiers under way to it, and of which message
	received map[uint16]int // QoS 2: PUBLISH came, PUBREL did not
	unacked  []uint16       // QoS 1: PUBACK is held back
	sending  map[uint16]*modelSend
	lastID   uint16
	sent     int
	lazy     bool // it acknowledges nothing for now
	conn     *peer
	will     int // index of its will, -1: none
}

// modelSend is a QoS 2 message that the client has not done with.
type modelSend struct {
	index    int
	released bool
}

func newModel(t *testing.T, in []byte) *model {
	m := &model{t: t, in: in, sessions: map[string]*modelSession{}}
	m.site = newSite(t, func(s *site) {
		if m.next(4) == 0 {
			s.cfg.Durability = broker.Memory
		}
	})
	for _, id := range []string{"p", "q", "r"} {
		m.sessions[id] = &modelSession{id: id, will: -1}
		m.sessions[id].reset()
	}
	return m
}

// next takes a decision, 0 to n-1.
func (m *model) next(n int) int {
	if len(m.in) == 0 {
		return 0
	}
	x := int(m.in[0])
	m.in = m.in[1:]
	return x % n
}

func (m *model) note(format string, args ...any) { m.log = append(m.log, fmt.Sprintf(format, args...)) }

func (m *model) failf(format string, args ...any) {
	m.t.Helper()
	for _, l := range m.log {
		m.t.Log(l)
	}
	m.t.Fatalf(format, args...)
}

// reset is a session that begins anew.
func (s *modelSession) reset() {
	s.filters, s.must, s.may, s.got = map[string]byte{}, map[int]byte{}, map[int]byte{}, map[int]int{}
	s.busy, s.received, s.sending = map[uint16]int{}, map[uint16]int{}, map[uint16]*modelSend{}
	s.seen, s.qos, s.order, s.unacked = map[int]bool{}, map[int]byte{}, nil, nil
}

// pick takes one of the sessions.
func (m *model) pick() *modelSession { return m.sessions[[]string{"p", "q", "r"}[m.next(3)]] }

// step does one thing, then looks at what everybody got.
func (m *model) step() {
	s := m.pick()
	if s.conn == nil {
		switch m.next(8) {
		case 0:
			m.restart()
		default:
			m.connect(s)
		}
		m.look()
		return
	}
	switch m.next(16) {
	case 0, 1:
		m.subscribe(s)
	case 2:
		m.unsubscribe(s)
	case 3, 4, 5, 6:
		m.publish(s, byte(m.next(3)))
	case 7:
		m.publishTwice(s)
	case 8:
		m.breakOff(s)
	case 9:
		s.lazy = !s.lazy
		m.note("%s lazy %v", s.id, s.lazy)
		if !s.lazy {
			s.catchUp()
		}
	case 10:
		m.wrongAck(s)
	case 11:
		m.invalid(s)
	case 12:
		m.disconnect(s)
	case 13:
		m.kill(s)
	case 14:
		m.connect(s) // takes over
	case 15:
		m.restart()
	}
	m.look()
}

func modelTopic(n int) string  { return []string{"a", "b", "a/b"}[n] }
func modelFilter(n int) string { return []string{"a", "b", "#", "a/+", "+"}[n] }

func (m *model) subscribe(s *modelSession) {
	filter, qos := modelFilter(m.next(5)), byte(m.next(3))
	m.note("%s subscribes to %s at %d", s.id, filter, qos)
	s.conn.send(wire.AppendSubscribe(nil, &wire.SubscribePacket{ID: s.newID(), Filters: []wire.Subscription{{Filter: filter, QoS: qos}}}, s.version))
	if body := m.await(s, wire.Suback, 0); body[len(body)-1] != qos {
		m.failf("SUBACK % x", body)
	}
	s.filters[filter] = qos
}

func (m *model) unsubscribe(s *modelSession) {
	filter := modelFilter(m.next(5))
	m.note("%s unsubscribes from %s", s.id, filter)
	s.conn.send(wire.AppendUnsubscribe(nil, &wire.UnsubscribePacket{ID: s.newID(), Filters: []string{filter}}, s.version))
	m.await(s, wire.Unsuback, 0)
	delete(s.filters, filter)
}

// newID is an identifier that the client does not use.
func (s *modelSession) newID() uint16 {
	for {
		if s.lastID = s.lastID%50 + 1; s.sending[s.lastID] == nil {
			return s.lastID
		}
	}
}

func (m *model) frame(s *modelSession, index int, qos byte, id uint16, dup bool) []byte {
	msg := wire.Message{Topic: m.messages[index].topic, Payload: []byte(strconv.Itoa(index))}
	return wire.AppendPublish(nil, &msg, s.version, qos, id, dup, false, nil, 0)
}

func (m *model) publish(s *modelSession, qos byte) {
	index := m.message(s, modelTopic(m.next(3)), qos)
	id := uint16(0)
	if qos > 0 {
		id = s.newID()
	}
	m.note("%s publishes %d to %s at %d", s.id, index, m.messages[index].topic, qos)
	m.owe(index, false)
	s.conn.send(m.frame(s, index, qos, id, false))
	switch qos {
	case 1:
		m.await(s, wire.Puback, id)
	case 2:
		s.sending[id] = &modelSend{index: index}
		m.await(s, wire.Pubrec, id)
		m.finish(s, id)
	}
	m.owe(index, qos > 0)
}

// finish carries a QoS 2 message that is received to its end.
func (m *model) finish(s *modelSession, id uint16) {
	s.sending[id].released = true
	s.conn.send(wire.AppendAck(nil, wire.Pubrel, id, 0, s.version))
	m.await(s, wire.Pubcomp, id)
	delete(s.sending, id)
}

// publishTwice sends a QoS 2 message again before it releases it: it is one.
func (m *model) publishTwice(s *modelSession) {
	index, id := m.message(s, modelTopic(m.next(3)), 2), s.newID()
	m.note("%s publishes %d twice", s.id, index)
	m.owe(index, true)
	s.sending[id] = &modelSend{index: index}
	for _, dup := range []bool{false, true} {
		s.conn.send(m.frame(s, index, 2, id, dup))
		m.await(s, wire.Pubrec, id)
	}
	m.finish(s, id)
}

// breakOff loses the connection in the middle of a delivery to the broker.
func (m *model) breakOff(s *modelSession) {
	index, id, stage := m.message(s, modelTopic(m.next(3)), byte(1+m.next(2))), s.newID(), m.next(3)
	qos := m.messages[index].qos
	m.note("%s publishes %d at %d and breaks off at %d", s.id, index, qos, stage)
	m.owe(index, false)
	s.conn.send(m.frame(s, index, qos, id, false))
	if qos == 2 {
		s.sending[id] = &modelSend{index: index}
		if stage > 0 {
			m.await(s, wire.Pubrec, id)
			m.owe(index, true)
		}
		if stage > 1 {
			s.sending[id].released = true
			s.conn.send(wire.AppendAck(nil, wire.Pubrel, id, 0, s.version))
		}
	}
	m.kill(s)
}

// wrongAck acknowledges what is not under way.
func (m *model) wrongAck(s *modelSession) {
	kind := []byte{wire.Puback, wire.Pubrec, wire.Pubcomp, wire.Pubrel}[m.next(4)]
	m.note("%s sends type %d for nothing", s.id, kind)
	s.conn.send(wire.AppendAck(nil, kind, 60000, 0, s.version))
	switch kind {
	case wire.Pubrec:
		m.await(s, wire.Pubrel, 60000)
	case wire.Pubrel:
		m.await(s, wire.Pubcomp, 60000)
	}
}

// invalid sends what ends the connection.
func (m *model) invalid(s *modelSession) {
	bad := []string{"\x00\x00", "\x36\x05\x00\x01a\x00\x01", "\x82\x02\x00\x01", "\x10\x00", "\x62\x01\x00", "\x30\x04\x00\x02a\x00"}[m.next(6)]
	m.note("%s sends % x", s.id, bad)
	s.conn.send([]byte(bad))
	for {
		h, body, err := s.conn.packet(patience)
		if isEnd(err) {
			break
		}
		if err != nil {
			m.failf("the connection of %s is still open", s.id)
		}
		m.take(s, h, body)
	}
	m.parted(s, true)
}

func (m *model) disconnect(s *modelSession) {
	m.note("%s disconnects", s.id)
	s.conn.send([]byte{wire.Disconnect << 4, 0})
	s.conn.wantEnd()
	m.parted(s, false)
}

func (m *model) kill(s *modelSession) {
	m.note("%s dies", s.id)
	s.conn.drop()
	m.parted(s, true)
}

// parted is the end of a connection. The will, if there is one, is waited for.
func (m *model) parted(s *modelSession, died bool) {
	conn, will := s.conn, s.will
	s.conn, s.will, s.unacked = nil, -1, nil
	conn.drop()
	if will >= 0 && died {
		m.owe(will, true)
	}
	if !s.kept {
		s.known = false
		s.reset()
	}
	eventually(m.t, "the connection has ended", func() bool {
		st, ok := m.site.Session(s.id)
		return !ok || !st.Connected && s.kept
	})
	if will >= 0 && died && m.site.cancel != nil { // what comes next must not be before it
		eventually(m.t, "the will is published", func() bool {
			for _, r := range m.site.Retained("will/" + s.id) {
				if string(r.Payload) == strconv.Itoa(will) {
					return true
				}
			}
			return false
		})
	}
}

// look reads what everybody got.
func (m *model) look() {
	for _, id := range slices.Sorted(maps.Keys(m.sessions)) {
		if s := m.sessions[id]; s.conn != nil {
			s.conn.send([]byte{wire.Pingreq << 4, 0})
			m.await(s, wire.Pingresp, 0)
		}
	}
}

// await reads until a packet of that type, and of that identifier where it has one.
func (m *model) await(s *modelSession, kind byte, id uint16) []byte {
	m.t.Helper()
	for {
		h, body, err := s.conn.packet(patience)
		if err != nil {
			m.failf("%s waits for packet type %d: %v", s.id, kind, err)
		}
		if h>>4 == kind && (id == 0 || len(body) > 1 && uint16(body[0])<<8|uint16(body[1]) == id) {
			return body
		}
		m.take(s, h, body)
	}
}
