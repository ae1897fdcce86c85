// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	gauge   = prometheus.GaugeValue
	counter = prometheus.CounterValue
)

// families are all metrics but those of the process.
func families() []family {
	return slices.Concat(gatewayFamilies(), brokerFamilies(), journalFamilies(), diskFamilies(), uplinkFamilies(), deviceFamilies(), busFamilies())
}

// one is a family of one sample.
func one(name, help string, kind prometheus.ValueType, value func(*Figures) float64) family {
	return family{name, help, kind, nil, func(f *Figures, put put) { put(value(f)) }}
}

// known is a family of one sample, or none while it is not known.
func known[T uint64 | float64](name, help string, kind prometheus.ValueType, value func(*Figures) *T) family {
	return family{name, help, kind, nil, func(f *Figures, put put) {
		if v := value(f); v != nil {
			put(float64(*v))
		}
	}}
}

// each is a family with a sample for each entry of a map, whose key is the label.
func each[T int | uint64](name, help string, kind prometheus.ValueType, label string, values func(*Figures) map[string]T) family {
	return family{name, help, kind, []string{label}, func(f *Figures, put put) {
		for key, v := range values(f) {
			put(float64(v), key)
		}
	}}
}

func truth(x bool) float64 {
	if x {
		return 1
	}
	return 0
}

// moment is a time as Prometheus has it, in seconds since 1970; 0: never.
func moment(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func gatewayFamilies() []family {
	return []family{
		{
			"edged_info", "Always 1; who this is and what it runs.", gauge,
			[]string{"gateway", "version"},
			func(f *Figures, put put) { put(1, f.Gateway, f.Version) },
		},
		one("edged_uptime_seconds", "How long the gateway has run, whatever the clock did.", gauge, func(f *Figures) float64 { return f.Uptime.Seconds() }),
		one("edged_ready", "Whether /readyz says so: the broker accepts and the journal is writable.", gauge, func(f *Figures) float64 { return truth(f.Ready) }),
		one("edged_config_rejected", "Whether the last good configuration runs because the one that was written has faults.", gauge, func(f *Figures) float64 { return truth(f.Rejected) }),
		one("edged_clock_believed", "Whether the clock is believed, so that times are right.", gauge, func(f *Figures) float64 { return truth(f.ClockBelieved) }),
		each("edged_problems", "Problems that edged status lists, by level.", gauge, "level", func(f *Figures) map[string]int { return f.Problems }),
		known("edged_temperature_celsius", "Temperature of the processor, where the board tells it.", gauge, func(f *Figures) *float64 { return f.Temperature }),
		{
			"edged_under_voltage", "Whether the supply of a Raspberry Pi is too low at the moment.", gauge, nil,
			func(f *Figures, put put) {
				if f.UnderVoltage != nil {
					put(truth(*f.UnderVoltage))
				}
			},
		},
		one("edged_goroutines", "Goroutines of the process.", gauge, func(*Figures) float64 { return float64(runtime.NumGoroutine()) }),
	}
}

func brokerFamilies() []family {
	return []family{
		one("edged_broker_clients", "Clients that are connected from outside.", gauge, func(f *Figures) float64 { return float64(f.Broker.Clients) }),
		one("edged_broker_sessions", "Sessions, also of clients that are away and of the gateway's own.", gauge, func(f *Figures) float64 { return float64(f.Broker.Sessions) }),
		one("edged_broker_retained_messages", "Retained messages.", gauge, func(f *Figures) float64 { return float64(f.Broker.Retained) }),
		one("edged_broker_retained_bytes", "Bytes of the retained messages.", gauge, func(f *Figures) float64 { return float64(f.Broker.RetainedBytes) }),
		one("edged_broker_memory_bytes", "Memory that clients make the broker hold; [broker.limits] memory is its bound.", gauge, func(f *Figures) float64 { return float64(f.Broker.Memory) }),
		one("edged_broker_connections_total", "Connections that came in, the gateway's own among them.", counter, func(f *Figures) float64 { return float64(f.Broker.Connections) }),
		one("edged_broker_received_messages_total", "PUBLISH packets from clients.", counter, func(f *Figures) float64 { return float64(f.Broker.Received.Messages) }),
		one("edged_broker_sent_messages_total", "PUBLISH packets to clients.", counter, func(f *Figures) float64 { return float64(f.Broker.Sent.Messages) }),
		one("edged_broker_received_bytes_total", "Bytes from clients.", counter, func(f *Figures) float64 { return float64(f.Broker.Received.Bytes) }),
		one("edged_broker_sent_bytes_total", "Bytes to clients.", counter, func(f *Figures) float64 { return float64(f.Broker.Sent.Bytes) }),
		one("edged_broker_dropped_messages_total", "Messages that sessions gave up or lost.", counter, func(f *Figures) float64 { return float64(f.Broker.Dropped) }),
		each("edged_broker_refused_total", "What clients were refused, by code: E402 a publication without a right, E403 a login, E406 a retained command.", counter, "code", func(f *Figures) map[string]uint64 { return f.Broker.Refused }),
		each("edged_broker_limit_hits_total", "How often each limit of the broker was reached.", counter, "limit", func(f *Figures) map[string]uint64 { return f.Broker.Limits }),
	}
}

func journalFamilies() []family {
	return []family{
		one("edged_journal_bytes", "Length of the journal.", gauge, func(f *Figures) float64 { return float64(f.Journal.Bytes) }),
		one("edged_journal_limit_bytes", "How long the journal may be.", gauge, func(f *Figures) float64 { return float64(f.Journal.Limit) }),
		one("edged_journal_written_bytes_total", "Bytes that were written to the journal's files.", counter, func(f *Figures) float64 { return float64(f.Journal.Written) }),
		one("edged_journal_writable", "Whether the journal can be written: neither E601 nor E602 is raised.", gauge, func(f *Figures) float64 { return truth(f.Journal.Writable) }),
		{
			"edged_journal_alarm", "1 for each alarm of the disk: E601 full, E602 failing, E603 damaged records were set aside.", gauge,
			[]string{"code"},
			func(f *Figures, put put) {
				for _, code := range []string{"E601", "E602", "E603"} {
					put(truth(slices.Contains(f.Journal.Alarms, code)), code)
				}
			},
		},
	}
}

func diskFamilies() []family {
	return []family{
		known("edged_disk_free_bytes", "Free space where the state directory is.", gauge, func(f *Figures) *uint64 { return f.Disk.Free }),
		known("edged_disk_size_bytes", "Size of the file system that the state directory is on.", gauge, func(f *Figures) *uint64 { return f.Disk.Size }),
		known("edged_disk_written_bytes_total", "Bytes that were written to that device by everybody since the machine started.", counter, func(f *Figures) *uint64 { return f.Disk.Written }),
		known("edged_disk_life_years", "Years that the device lasts if it is written as since the machine started, under an assumption that docs/metrics.md states.", gauge, func(f *Figures) *float64 { return f.Disk.LifeYears }),
	}
}
