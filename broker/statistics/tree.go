// SPDX-License-Identifier: Apache-2.0

package statistics

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Gauges are what is not counted but looked at.
type Gauges struct {
	Version                  string // of edged
	Uptime                   time.Duration
	Sessions, Connected      int // clients that have a session, and those of them that are connected
	Maximum                  int // the most sessions at one time, as far as anybody looked
	Sockets                  int
	Subscriptions, Shared    int // shared ones are counted in both
	Retained, RetainedBytes  int
	Owed                     uint64 // messages that sessions are owed
	OwedBytes                int64
	Heap, HeapMaximum        uint64
	Journal                  int64 // bytes on disk
	Memory                   int64 // bytes of the budget that are taken
	Drops                    []Drop
	Alarms                   map[string]string // text by code
	RefusedRights, Forbidden uint64            // PUBLISHes without a right (E402), retained commands (E406)
}

// Drop is what one session gave up or lost.
type Drop struct {
	ClientID string `json:"client_id"`
	Dropped  uint64 `json:"dropped"`
	Refused  uint64 `json:"refused,omitempty"` // not taken, so that their publishers know
}

// MaxDrops is how many sessions [Gauges.Drops] is cut to, those that lost most.
const MaxDrops = 20

// Value is a topic of $SYS and what it says.
type Value struct{ Topic, Text string }

const (
	root = "$SYS/broker/"
	own  = root + "edged/"
)

// Values writes everything as mosquitto's topics, then those that are ours.
func Values(c *Counters, l *Load, g *Gauges) []Value {
	w := writer{}
	w.text("version", "edged version "+g.Version)
	w.text("uptime", strconv.FormatInt(int64(g.Uptime/time.Second), 10)+" seconds")
	w.clients(c, g)
	w.traffic(c)
	w.number("messages/stored", g.Owed+uint64(g.Retained))
	w.number("store/messages/count", g.Owed+uint64(g.Retained))
	w.number("store/messages/bytes", uint64(g.OwedBytes)+uint64(g.RetainedBytes))
	w.number("retained messages/count", uint64(g.Retained))
	w.number("subscriptions/count", uint64(g.Subscriptions))
	w.number("shared_subscriptions/count", uint64(g.Shared))
	w.number("heap/current", g.Heap)
	w.number("heap/maximum", g.HeapMaximum)
	for i, name := range loadNames() {
		for k, over := range [3]string{"1min", "5min", "15min"} {
			w.text("load/"+name+"/"+over, strconv.FormatFloat(l.rows[i].average[k], 'f', 2, 64))
		}
	}
	w.edged(c, g)
	return w.all
}

type writer struct{ all []Value }

func (w *writer) text(topic, text string) { w.all = append(w.all, Value{root + topic, text}) }

func (w *writer) number(topic string, n uint64) { w.text(topic, strconv.FormatUint(n, 10)) }

func (w *writer) clients(c *Counters, g *Gauges) {
	away := uint64(max(g.Sessions-g.Connected, 0))
	w.number("clients/total", uint64(g.Sessions))
	w.number("clients/maximum", uint64(g.Maximum))
	w.number("clients/connected", uint64(g.Connected))
	w.number("clients/active", uint64(g.Connected)) // mosquitto's older names for the same
	w.number("clients/disconnected", away)
	w.number("clients/inactive", away)
	w.number("clients/expired", c.expired.Load())
	w.number("connections/socket/count", uint64(g.Sockets))
}

func (w *writer) traffic(c *Counters) {
	in, out := c.received.load(), c.sent.load()
	w.number("messages/received", in.Packets)
	w.number("messages/sent", out.Packets)
	w.number("publish/messages/received", in.Publishes)
	w.number("publish/messages/sent", out.Publishes)
	w.number("publish/messages/dropped", c.dropped.Load())
	w.number("publish/bytes/received", in.Payload)
	w.number("publish/bytes/sent", out.Payload)
	w.number("bytes/received", in.Bytes)
	w.number("bytes/sent", out.Bytes)
}

// edged writes what mosquitto does not know.
func (w *writer) edged(c *Counters, g *Gauges) {
	hits := c.Hits()
	for _, name := range slices.Sorted(maps.Keys(hits)) {
		w.all = append(w.all, Value{own + "limits/" + name, strconv.FormatUint(hits[name], 10)})
	}
	drops, alarms := g.Drops, g.Alarms
	if drops == nil {
		drops = []Drop{}
	}
	if alarms == nil {
		alarms = map[string]string{}
	}
	w.all = append(
		w.all,
		Value{own + "journal/bytes", strconv.FormatInt(g.Journal, 10)},
		Value{own + "memory/bytes", strconv.FormatInt(g.Memory, 10)},
		Value{own + "refused/E402", strconv.FormatUint(g.RefusedRights, 10)},
		Value{own + "refused/E406", strconv.FormatUint(g.Forbidden, 10)},
		Value{own + "drops", compact(drops)},
		Value{own + "alarms", compact(alarms)},
	)
}

// compact is the JSON of texts and numbers, which cannot fail.
func compact(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		return "null"
	}
	return string(b)
}
