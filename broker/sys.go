// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"cmp"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"time"

	"edged/broker/session"
	"edged/broker/statistics"
	"edged/mqtt/wire"
)

const (
	sysEvery = 10 * time.Second // how often what has changed below $SYS is published, as mosquitto does
	sysFresh = time.Second      // how old the values may be that a new subscriber gets
	sysLevel = "$SYS"
)

// sys is what is published below $SYS. The messages are made for whoever listens: they are in no store, and not in the
// journal.
type sys struct {
	mu      sync.Mutex // guards what follows; no other lock is taken while it is held
	started time.Time
	sampled time.Time
	load    statistics.Load
	maximum int
	heapTop uint64
	values  []statistics.Value
	at      time.Time // of values
	told    map[string]string
}

// sweepSys publishes below $SYS what has changed since the last time, if it is time to, and if anybody listens.
func (b *Broker) sweepSys(p *publication, now time.Time) {
	b.sys.mu.Lock()
	due := now.Sub(b.sys.sampled) >= sysEvery
	if due {
		b.sys.sampled = now
		b.sys.load.Sample(&b.counters, now)
	}
	b.sys.mu.Unlock()
	if !due {
		return
	}
	if !b.router.Begins(sysLevel) {
		b.sys.mu.Lock()
		b.sys.told = nil
		b.sys.mu.Unlock()
		return
	}
	for _, v := range b.changed(b.sysValues(now)) {
		b.publishSys(p, v)
	}
	p.round.Flush()
}

// changed returns the values that were not told yet.
func (b *Broker) changed(values []statistics.Value) []statistics.Value {
	b.sys.mu.Lock()
	defer b.sys.mu.Unlock()
	var news []statistics.Value
	if b.sys.told == nil {
		b.sys.told = make(map[string]string, len(values))
	}
	for _, v := range values {
		if b.sys.told[v.Topic] != v.Text {
			b.sys.told[v.Topic] = v.Text
			news = append(news, v)
		}
	}
	return news
}

// publishSys gives a value to those who are subscribed to it, at QoS 0, so that it is owed to nobody.
func (b *Broker) publishSys(p *publication, v statistics.Value) {
	b.routing.RLock()
	defer b.routing.RUnlock()
	m := wire.Message{Topic: v.Topic, Payload: []byte(v.Text)}
	p.copy = session.Copy{Message: &m}
	for _, t := range p.targets(b.router.Find([]byte(v.Topic))) {
		t.Subscriber.Lock()
		t.Subscriber.Deliver(&p.round, &p.copy, session.Owed{Retain: t.RetainAsPublished, SubIDs: t.IDs})
		t.Subscriber.Unlock()
	}
}

// sendSys gives a new subscription the values that it matches, as retained messages.
func (b *Broker) sendSys(c *conn, s *session.Session, sub session.Subscription) {
	o := session.Owed{Retain: true}
	if sub.ID > 0 {
		o.SubIDs = []uint32{sub.ID}
	}
	for _, v := range b.sysValues(time.Now()) {
		if !wire.Matches(sub.Filter, v.Topic) || !b.mayRead(s, v.Topic) {
			continue
		}
		m := wire.Message{Topic: v.Topic, Payload: []byte(v.Text)}
		s.Lock()
		s.Deliver(&c.scratch.round, &session.Copy{Message: &m}, o)
		s.Unlock()
	}
}

// listensToSys tells whether a filter matches topics below $SYS, which no wildcard on the first level does.
func listensToSys(filter string) bool {
	level, _, _ := strings.Cut(filter, "/")
	return level == sysLevel
}

// sysValues returns all values, as they were a moment ago.
func (b *Broker) sysValues(now time.Time) []statistics.Value {
	b.sys.mu.Lock()
	if now.Sub(b.sys.at) < sysFresh {
		defer b.sys.mu.Unlock()
		return b.sys.values
	}
	b.sys.mu.Unlock()
	g := b.gauges()
	b.sys.mu.Lock()
	defer b.sys.mu.Unlock()
	b.sys.maximum = max(b.sys.maximum, g.Sessions)
	b.sys.heapTop = max(b.sys.heapTop, g.Heap)
	g.Maximum, g.HeapMaximum, g.Uptime = b.sys.maximum, b.sys.heapTop, now.Sub(b.sys.started)
	b.sys.values, b.sys.at = statistics.Values(&b.counters, &b.sys.load, &g), now
	return b.sys.values
}

// gauges looks at everything that is not counted.
func (b *Broker) gauges() statistics.Gauges {
	st := b.Status()
	g := statistics.Gauges{
		Version: b.opts.Version, Sessions: st.Sessions, Journal: st.JournalBytes, Alarms: st.Alarms,
		RefusedRights: st.Refused, Forbidden: st.Commands, Memory: b.memoryInUse(),
	}
	g.Retained, g.RetainedBytes = b.retained.Count()
	b.mu.Lock()
	g.Sockets = len(b.conns)
	b.mu.Unlock()
	for _, s := range b.all() {
		s.Lock()
		owed := s.Status()
		for filter := range s.Subscriptions() {
			g.Subscriptions++
			if strings.HasPrefix(filter, "$share/") {
				g.Shared++
			}
		}
		s.Unlock()
		if owed.Connected {
			g.Connected++
		}
		g.Owed += owed.Messages
		g.OwedBytes += owed.Bytes
		if owed.Dropped > 0 || owed.Refused > 0 {
			g.Drops = append(g.Drops, statistics.Drop{ClientID: s.ID, Dropped: owed.Dropped, Refused: owed.Refused})
		}
	}
	slices.SortFunc(g.Drops, func(x, y statistics.Drop) int {
		return cmp.Or(cmp.Compare(y.Dropped+y.Refused, x.Dropped+x.Refused), cmp.Compare(x.ClientID, y.ClientID))
	})
	g.Drops = g.Drops[:min(len(g.Drops), statistics.MaxDrops)]
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	if metrics.Read(heap); heap[0].Value.Kind() == metrics.KindUint64 {
		g.Heap = heap[0].Value.Uint64()
	}
	return g
}
