// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"edged/broker"
	"edged/mqtt/wire"
)

// far is a client whose session puts live messages first. It notes what it gets and judges it.
type far struct {
	*bounded
	pub      *peer
	conn     *peer            // nil: it is away
	open     []uint16         // identifiers under way on this connection, in order
	held     map[uint16]int   // and of which number each is
	ids      map[int]uint16   // the identifier of each number that came
	tails    map[string][]int // the newest of each of the two orders, by topic
	next     int
	window   int
	acked    map[int]bool      // what it acknowledged, which need not have arrived at the broker
	retained map[string]string // what a broker would have retained that got the same
}

func newFar(t *testing.T, window int) *far {
	q := broker.Queue{Size: 1 << 30, WhenFull: "drop-oldest", LiveFirst: true}
	f := &far{
		bounded: newBounded(t, q, func(s *site) { s.opts.Queue, s.cfg.Limits.Memory = q, 64<<20 }),
		window:  window, ids: map[int]uint16{}, tails: map[string][]int{}, acked: map[int]bool{}, retained: map[string]string{},
	}
	f.pub = f.clean("pub")
	return f
}

func (f *far) attach() {
	f.t.Helper()
	nc, err := f.Dial(f.id)
	if err != nil {
		f.t.Fatal(err)
	}
	f.conn = newPeer(f.t, nc)
	p := wire.ConnectPacket{Level: 5, ClientID: f.id.ClientID, ReceiveMaximum: uint16(f.window), SessionExpiry: 1 << 30}
	if ack := f.conn.connect(p); !ack.SessionPresent {
		f.t.Fatal("there is no session")
	}
	f.open, f.held = nil, map[uint16]int{}
}

// publish publishes the next so many numbers.
func (f *far) publish(count int) {
	f.t.Helper()
	var b []byte
	for i := range count {
		b = append(b, f.pub.frame(fmt.Sprint("t/", (f.next+i)%3), strconv.Itoa(f.next+i)+strings.Repeat(" ", 50), 1, uint16(i+1), false)...)
	}
	f.pub.send(b)
	for i := range count {
		f.pub.wantAck(wire.Puback, uint16(i+1))
	}
	f.next += count
}

// look reads what has come, until a PINGREQ is answered.
func (f *far) look() (got []int) {
	f.t.Helper()
	f.conn.send([]byte{wire.Pingreq << 4, 0})
	for {
		h, body, err := f.conn.packet(patience)
		switch {
		case err != nil:
			f.t.Fatalf("no PINGRESP: %v", err)
		case h>>4 == wire.Pingresp:
			return got
		case h>>4 != wire.Publish:
			f.t.Fatalf("packet type %d came", h>>4)
		}
		got = append(got, f.take(f.conn.read(h, body)))
	}
}

func (f *far) take(m message) (n int) {
	f.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(m.payload))
	if err != nil {
		f.t.Fatal(err)
	}
	if other, busy := f.held[m.id]; busy {
		f.t.Fatalf("identifier %d stands for %d and for %d", m.id, other, n)
	}
	if f.held[m.id] = n; len(f.held) > f.window {
		f.t.Fatalf("%d messages are under way", len(f.held))
	}
	f.open = append(f.open, m.id)
	if m.retain {
		f.retained[m.topic] = m.payload
	}
	id, again := f.ids[n]
	switch {
	case again && !m.dup:
		f.t.Fatalf("%d came again without DUP", n)
	case again && id != m.id:
		f.t.Fatalf("%d came as %d, and again as %d", n, id, m.id)
	case !again:
		f.ids[n] = m.id
		f.place(m.topic, n)
	}
	return n
}

// place finds a place for a number in one of the two orders of its topic, so that the sooner of them stays as it is where
// that can be.
func (f *far) place(topic string, n int) {
	f.t.Helper()
	x := f.tails[topic]
	if x == nil {
		x = []int{-1, -1}
	}
	if x[0] > x[1] {
		x[0], x[1] = x[1], x[0]
	}
	switch {
	case n > x[1]:
		x[1] = n
	case n > x[0]:
		x[0] = n
	default:
		f.t.Fatalf("%s: %d came after %d and %d: that is neither of two orders", topic, n, x[0], x[1])
	}
	f.tails[topic] = x
}

// acknowledge acknowledges the i-th of what is under way.
func (f *far) acknowledge(i int) {
	id := f.open[i]
	f.conn.ack(wire.Puback, id)
	f.acked[f.held[id]] = true
	f.open = append(f.open[:i:i], f.open[i+1:]...)
	delete(f.held, id)
}

// part ends the connection, or the broker.
func (f *far) part(how int) {
	if f.conn != nil && how != 1 { // else acknowledgements are lost with the broker
		f.look()
	}
	switch how {
	case 1:
		f.kill()
		f.start()
		f.pub = f.clean("pub")
	case 2:
		f.restart()
		f.pub = f.clean("pub")
	}
	if f.conn != nil {
		f.conn.drop()
		f.conn = nil
		eventually(f.t, "the connection has ended", func() bool { return !f.status().Connected })
	}
}

// drain gets all that is owed.
func (f *far) drain() {
	f.t.Helper()
	if f.conn == nil {
		f.attach()
	}
	for f.status().Messages > 0 {
		had := len(f.acked)
		eventually(f.t, "more has come", func() bool {
			f.look()
			for len(f.open) > 0 {
				f.acknowledge(0)
			}
			return len(f.acked) > had || f.status().Messages == 0
		})
	}
	for n := range f.next {
		if _, came := f.ids[n]; !came {
			f.t.Fatalf("%d never came", n)
		}
	}
	if st := f.status(); st.Dropped > 0 {
		f.t.Errorf("%d were dropped", st.Dropped)
	}
}

// What comes while there is a backlog goes out beside it: three of four are live while there are some, and the backlog
// keeps its share.
func TestLiveFirst(t *testing.T) {
	t.Parallel()
	f := newFar(t, 20)
	f.publish(2000)
	f.attach()
	eventually(t, "the window is full", func() bool { f.look(); return len(f.open) == f.window })
	f.publish(60)
	live, backlog := 0, 0
	for range 60 {
		f.acknowledge(0)
		for _, n := range f.look() {
			if n >= 2000 {
				live++
			} else {
				backlog++
			}
		}
	}
	if live < 43 || backlog < 13 {
		t.Errorf("of 60 messages %d are live and %d of the backlog, want 45 and 15", live, backlog)
	}
	f.drain()
}

// Nothing live is old: in an outage the queue of live messages fills once, and what comes then is of the backlog. Then a
// live message overtakes all but these.
func TestLiveIsNotOld(t *testing.T) {
	t.Parallel()
	f := newFar(t, 20)
	f.attach()
	f.publish(5000) // nothing is acknowledged
	var live int
	eventually(t, "some of it came", func() bool { return len(f.look()) > 0 || len(f.open) == f.window })
	before := len(f.ids)
	for live == 0 {
		f.publish(1)
		for range 20 {
			f.acknowledge(0)
			for _, n := range f.look() {
				if n >= 5000 {
					live++
				}
			}
		}
		if len(f.ids)-before > 800 {
			t.Fatalf("after %d messages of an outage none that came later is there", len(f.ids)-before)
		}
	}
	t.Logf("the first that was published after the outage came after %d messages of the outage", len(f.ids)-before-1)
	f.drain()
}

// Whatever happens to client and broker, nothing is lost, each of the two orders holds, no identifier stands for two messages,
// and what comes again bears its identifier and DUP.
func TestLiveFirstWithEverything(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(seed, 4))
			f := newFar(t, 20)
			for range 600 {
				if f.conn == nil {
					f.publish(rnd.IntN(300))
					f.attach()
				}
				switch n := rnd.IntN(200); {
				case n < 3:
					f.part(n)
				case n < 60:
					f.publish(1 + rnd.IntN(5))
				case n < 62:
					f.publish(rnd.IntN(800))
				default:
					for k := rnd.IntN(10); k > 0 && len(f.open) > 0; k-- {
						f.acknowledge(rnd.IntN(min(len(f.open), 1+rnd.IntN(f.window))))
					}
					f.look()
				}
			}
			f.drain()
		})
	}
}

// Where the backlog is longer than there are identifiers, those of live messages pass those of the backlog.
func TestLiveIdentifiersComeRound(t *testing.T) {
	t.Parallel()
	const identifiers, ahead, head = 65535, 500, 40
	f := newFar(t, 100)
	for f.next < identifiers+head {
		f.publish(min(1000, identifiers+head-f.next))
	}
	f.attach()
	eventually(t, "the backlog is well on its way", func() bool {
		f.look()
		for len(f.open) > 0 {
			f.acknowledge(0)
		}
		return len(f.acked) > ahead
	})
	rnd := rand.New(rand.NewPCG(1, 4))
	met := 0
	for len(f.acked) < 4*ahead {
		f.publish(1 + rnd.IntN(20))
		f.look()
		for range min(len(f.open), 1+rnd.IntN(20)) {
			f.acknowledge(rnd.IntN(len(f.open)))
		}
		for id, n := range f.held {
			if next, busy := f.held[id+1]; busy && max(n, next)-min(n, next) > identifiers/2 {
				met++
			}
		}
	}
	if met == 0 {
		t.Error("the identifiers of the two never met")
	}
	f.window = 1000 // from here on it is only to be quick
	f.part(0)
	f.drain()
}
