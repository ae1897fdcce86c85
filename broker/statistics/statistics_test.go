// SPDX-License-Identifier: Apache-2.0

package statistics_test

import (
	"strings"
	"testing"
	"time"

	"edged/broker/statistics"
)

func values(c *statistics.Counters, l *statistics.Load, g *statistics.Gauges) map[string]string {
	all := map[string]string{}
	for _, v := range statistics.Values(c, l, g) {
		all[v.Topic] = v.Text
	}
	return all
}

func TestValuesCarryWhatWasCounted(t *testing.T) {
	t.Parallel()
	var c statistics.Counters
	var l statistics.Load
	in := statistics.Traffic{Packets: 3, Publishes: 2, Payload: 7, Bytes: 40}
	c.Received(&in)
	if in != (statistics.Traffic{}) {
		t.Errorf("what was told is still there: %+v", in)
	}
	c.Sent(&statistics.Traffic{Packets: 5, Publishes: 1, Payload: 6, Bytes: 50})
	c.Dropped(4)
	c.Expired()
	c.Hit(statistics.Clients)
	c.Hit(statistics.Clients)
	g := statistics.Gauges{
		Version: "1", Uptime: 61*time.Second + time.Millisecond, Sessions: 9, Connected: 6, Maximum: 12, Retained: 2,
		RetainedBytes: 30, Owed: 5, OwedBytes: 70, Subscriptions: 8, Shared: 3, Journal: 4096,
		Drops: []statistics.Drop{{ClientID: "a/#", Dropped: 4}}, Alarms: map[string]string{"E601": "full"},
	}
	got := values(&c, &l, &g)
	for topic, want := range map[string]string{
		"version": "edged version 1", "uptime": "61 seconds", "clients/total": "9", "clients/maximum": "12",
		"clients/connected": "6", "clients/active": "6", "clients/disconnected": "3", "clients/inactive": "3",
		"clients/expired": "1", "messages/received": "3", "messages/sent": "5", "publish/messages/received": "2",
		"publish/messages/sent": "1", "publish/messages/dropped": "4", "publish/bytes/received": "7",
		"publish/bytes/sent": "6", "bytes/received": "40", "bytes/sent": "50", "messages/stored": "7",
		"store/messages/count": "7", "store/messages/bytes": "100", "retained messages/count": "2",
		"subscriptions/count": "8", "shared_subscriptions/count": "3", "load/sockets/15min": "0.00",
		"edged/limits/clients": "2", "edged/limits/packet": "0", "edged/journal/bytes": "4096",
		"edged/drops": `[{"client_id":"a/#","dropped":4}]`, "edged/alarms": `{"E601":"full"}`,
	} {
		if got["$SYS/broker/"+topic] != want {
			t.Errorf("%s: got %q, want %q", topic, got["$SYS/broker/"+topic], want)
		}
	}
}

// Topics of $SYS are topics: none has a wildcard, and none stands twice.
func TestTopicsAreDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, v := range statistics.Values(&statistics.Counters{}, &statistics.Load{}, &statistics.Gauges{}) {
		if seen[v.Topic] || strings.ContainsAny(v.Topic, "+#") || v.Text == "" {
			t.Errorf("got %q %q", v.Topic, v.Text)
		}
		seen[v.Topic] = true
	}
	if len(seen) < 60 {
		t.Errorf("only %d topics", len(seen))
	}
}

// A steady rate of 60 a minute shows as 60 after long, and falls when it ends; the short average goes first.
func TestLoad(t *testing.T) {
	t.Parallel()
	var c statistics.Counters
	var l statistics.Load
	now := time.Unix(1, 0)
	step := func(n uint64, times int) {
		for range times {
			c.Received(&statistics.Traffic{Packets: n})
			now = now.Add(10 * time.Second)
			l.Sample(&c, now)
		}
	}
	load := func() [3]string {
		v := values(&c, &l, &statistics.Gauges{})
		return [3]string{v["$SYS/broker/load/messages/received/1min"], v["$SYS/broker/load/messages/received/5min"], v["$SYS/broker/load/messages/received/15min"]}
	}
	step(0, 1)
	step(10, 6)                                                                // a minute
	if got, want := load(), [3]string{"37.93", "10.88", "3.87"}; got != want { // 60 × (1 - e^(-1/m))
		t.Errorf("after a minute: got %v, want %v", got, want)
	}
	step(10, 6*120)
	if got, want := load(), [3]string{"60.00", "60.00", "59.98"}; got != want {
		t.Errorf("in the end: got %v, want %v", got, want)
	}
	step(0, 6)
	if got, want := load(), [3]string{"22.07", "49.12", "56.11"}; got != want {
		t.Errorf("a minute later: got %v, want %v", got, want)
	}
}
