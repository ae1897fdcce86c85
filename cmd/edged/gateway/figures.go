// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"maps"
	"slices"
	"strings"
	"time"

	"edged/console/metrics"
	"edged/uplink"
)

// figures are what /metrics tells.
func (g *Gateway) figures() metrics.Figures {
	s, b := g.Status(), g.broker.Status()
	cfg, rejected := g.config()
	f := metrics.Figures{
		Gateway: g.id, Version: g.opts.Version, Uptime: g.clock.Uptime(), Ready: len(g.unready()) == 0, Rejected: rejected != nil,
		ClockBelieved: s.Clock.Believed, Problems: map[string]int{"error": 0, "warning": 0},
		Broker: metrics.Broker{
			Clients: b.Clients, Sessions: b.Sessions, Retained: b.Retained, RetainedBytes: int64(b.RetainedBytes), Memory: b.Memory,
			Connections: b.Connections, Received: metrics.Traffic(b.Received), Sent: metrics.Traffic(b.Sent), Dropped: b.Dropped,
			Refused: map[string]uint64{"E402": b.Refused, "E403": b.Logins, "E406": b.Commands}, Limits: b.Limits,
		},
		Journal: metrics.Journal{
			Bytes: b.JournalBytes, Limit: cfg.Broker.Limits.Journal, Written: b.JournalWritten, Writable: g.writable(),
			Alarms: slices.Collect(maps.Keys(b.Alarms)),
		},
	}
	for _, p := range s.Problems {
		f.Problems[p.Level]++
	}
	g.machineFigures(&f)
	if u := g.Uplink(); u != nil {
		now := u.Status()
		f.Uplink = linkFigures(now, g.cloudOf(now))
		f.Uplink.Certificates = certificates(u.Certificates())
	}
	for i := range s.Devices {
		d := &s.Devices[i]
		x := metrics.Device{
			Name: d.Name, Online: d.State == "online", Frames: d.Frames, BadFrames: d.BadFrames, GarbageBytes: d.GarbageBytes,
			OutOfRange: d.OutOfRange, GivenUp: d.GivenUp, Published: d.Published,
		}
		if d.Seen != nil {
			x.Seen = *d.Seen
		}
		if l := d.Line; l != nil {
			x.Line = &metrics.Line{
				Requests: l.Requests, Unanswered: l.Unanswered, ErrorRate: l.ErrorRate, ReplyP95: l.ReplyP95MS / 1000, Suspended: l.Suspended,
			}
		}
		f.Devices = append(f.Devices, x)
	}
	for _, l := range g.sharedLines() {
		b := l.bus.Status()
		f.Buses = append(f.Buses, metrics.Bus{Name: b.Name, Open: b.Open, Utilisation: b.Utilisation, Stray: b.Stray})
	}
	return f
}

// machineFigures adds what the board and its disk tell.
func (g *Gateway) machineFigures(f *metrics.Figures) {
	disk, temperature, underVoltage := g.board()
	f.Temperature, f.UnderVoltage = temperature, underVoltage
	if disk != nil {
		f.Disk = metrics.Disk{Free: &disk.FreeBytes, Size: &disk.TotalBytes, Written: disk.WrittenBytes, LifeYears: disk.LifeYears}
	}
}

// linkFigures are those of the link to the cloud; c is how the status tells them.
func linkFigures(u uplink.Status, c Cloud) *metrics.Uplink {
	f := &metrics.Uplink{
		Connected: u.State == uplink.Up, LastAck: u.LastAck, SessionPresent: u.SessionPresent, Inflight: u.Inflight,
		RoundTrip: u.RoundTrip, Sent: u.Sent, Received: u.Received, Oldest: time.Duration(c.Backlog.OldestS * float64(time.Second)),
		Backlog:         map[string]metrics.Backlog{},
		Reconnects:      c.ReconnectsBy,
		Dropped:         c.DroppedBy,
		CommandsRefused: map[string]uint64{"retained": u.Retained, "other": u.Refusals - u.Retained},
		QueueRefused:    c.Refused,
	}
	for class, b := range c.Backlog.Classes {
		f.Backlog[class] = metrics.Backlog(b)
	}
	if c.LastAckAgeS != nil {
		age := time.Duration(*c.LastAckAgeS * float64(time.Second))
		f.LastAckAge = &age
	}
	return f
}

// certificates are those of the link, once for each owner and name: the one that expires first.
func certificates(all []uplink.Certificate) (told []metrics.Certificate) {
	for _, c := range all {
		x := metrics.Certificate{Owner: "server", Name: strings.ToValidUTF8(c.Name, "\uFFFD"), End: c.End}
		if c.Ours {
			x.Owner = "gateway"
		}
		same := slices.IndexFunc(told, func(o metrics.Certificate) bool { return o.Owner == x.Owner && o.Name == x.Name })
		switch {
		case same < 0:
			told = append(told, x)
		case x.End.Before(told[same].End):
			told[same].End = x.End
		}
	}
	return told
}
