// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"edged/bridge"
	"edged/uplink"
)

// Status is what `edged status --json` prints. Fields are only ever added.
type Status struct {
	Schema   int              `json:"schema"`
	Gateway  string           `json:"gateway"`
	Version  string           `json:"version"`
	UptimeS  int64            `json:"uptime_s"`
	OK       bool             `json:"ok"`
	Problems []Problem        `json:"problems"`
	Cloud    Cloud            `json:"cloud"`
	Broker   Broker           `json:"broker"`
	Console  Console          `json:"console"`
	Disk     *bridge.Disk     `json:"disk,omitempty"`
	Clock    bridge.ClockInfo `json:"clock"`
	Devices  []bridge.Status  `json:"devices"`
}

// Problem is one thing that somebody should look at.
type Problem struct {
	Code   string `json:"code"`
	Level  string `json:"level"` // warning or error
	Device string `json:"device,omitempty"`
	Text   string `json:"text"`
	Do     string `json:"do"`
}

// Cloud is how the link to the cloud is.
type Cloud struct {
	State          string         `json:"state"` // up, down, refused or off
	Code           string         `json:"code,omitempty"`
	Text           string         `json:"text,omitempty"`
	Server         string         `json:"server,omitempty"`
	LastAck        *time.Time     `json:"last_ack"`
	LastAckAgeS    *float64       `json:"last_ack_age_s"` // whatever the clock did
	SessionPresent bool           `json:"session_present"`
	Backlog        bridge.Backlog `json:"backlog"`
	Dropped        uint64         `json:"dropped"` // messages given up so far
	Refused        uint64         `json:"refused"` // messages not taken because the queue was full
	Reconnects     uint64         `json:"reconnects"`
	RoundTripMS    float64        `json:"round_trip_ms"`
	Inflight       int            `json:"inflight"` // of the backlog: given to the cloud, not acknowledged

	DroppedBy    map[string]uint64 `json:"dropped_by,omitempty"`    // messages that never reach the cloud, since the start, by reason
	ReconnectsBy map[string]uint64 `json:"reconnects_by,omitempty"` // by how the session before ended
}

// Broker is what the broker holds.
type Broker struct {
	Listeners []string `json:"listeners"`
	Clients   int      `json:"clients"`
	Sessions  int      `json:"sessions"`
	Retained  int      `json:"retained"`
}

// Console is where the gateway answers over HTTP.
type Console struct {
	URL string `json:"url"` // "": nowhere
}

const (
	rejectedCode = "config-rejected"
	rejectedText = "the configuration has faults; the last good one is in use"
)

// Status tells how everything is.
func (g *Gateway) Status() Status {
	b := g.broker.Status()
	_, rejected := g.config()
	s := Status{
		Schema: 1, Gateway: g.id, Version: g.opts.Version, UptimeS: int64(g.clock.Uptime().Seconds()),
		Problems: []Problem{}, Cloud: g.cloud(), Clock: g.clockInfo(), Devices: []bridge.Status{},
		Broker: Broker{Listeners: g.addresses(), Clients: b.Clients, Sessions: b.Sessions, Retained: b.Retained},
	}
	if rejected != nil {
		s.Problems = append(s.Problems, Problem{Code: rejectedCode, Level: "error", Text: rejectedText, Do: "run: edged config check"})
	}
	for code, text := range b.Alarms {
		s.Problems = append(s.Problems, Problem{Code: code, Level: "error", Text: text, Do: alarmDo(code)})
	}
	switch {
	case s.Cloud.State == uplink.Down || s.Cloud.State == uplink.Refused:
		s.Problems = append(s.Problems, Problem{Code: s.Cloud.Code, Level: "warning", Text: cloudText(s.Cloud), Do: "nothing is lost meanwhile; edged tries again by itself"})
	case s.Cloud.Code != "":
		s.Problems = append(s.Problems, Problem{Code: s.Cloud.Code, Level: "warning", Text: s.Cloud.Text, Do: "the link is up, but look at: edged doctor cloud"})
	}
	if link := g.Uplink(); link != nil {
		for _, text := range link.Expiring() {
			s.Problems = append(s.Problems, Problem{Code: uplink.ExpiryCode, Level: "warning", Text: text, Do: "renew it before it expires; until then all works"})
		}
	}
	if !s.Clock.Believed {
		s.Problems = append(s.Problems, Problem{Code: "E301", Level: "warning", Text: "the clock is not set", Do: "give the gateway a time server or a battery-backed clock"})
	}
	var noConsole []Problem
	s.Console, noConsole = g.webStatus()
	s.Problems = append(s.Problems, noConsole...)
	s.Disk, _, _ = g.board()
	for _, d := range g.bridges() {
		st := d.Status()
		s.Devices = append(s.Devices, st)
		if st.State != "online" {
			s.Problems = append(s.Problems, Problem{Code: st.Code, Level: "error", Device: st.Name, Text: st.Reason, Do: deviceDo(st.Code)})
		}
	}
	slices.SortStableFunc(s.Problems, func(a, b Problem) int { return compareLevel(a.Level) - compareLevel(b.Level) })
	s.OK = len(s.Problems) == 0
	return s
}

func compareLevel(level string) int {
	if level == "error" {
		return 0
	}
	return 1
}

func cloudText(c Cloud) string {
	text := "the cloud is not reached"
	if c.Text != "" {
		text = c.Text
	}
	return fmt.Sprintf("%s; %d messages wait, the oldest since %.0f s", text, c.Backlog.Messages, c.Backlog.OldestS)
}

// cloud tells how the link is and what waits for it.
func (g *Gateway) cloud() Cloud {
	link := g.Uplink()
	if link == nil {
		return Cloud{State: uplink.Off}
	}
	return g.cloudOf(link.Status())
}

// cloudOf is cloud of a link that is so.
func (g *Gateway) cloudOf(u uplink.Status) Cloud {
	c := Cloud{
		State: u.State, Code: u.Code, Text: u.Text, Server: u.Server, SessionPresent: u.SessionPresent, Reconnects: u.Reconnects,
		RoundTripMS: float64(u.RoundTrip.Microseconds()) / 1000, Inflight: u.Inflight,
	}
	if !u.LastAck.IsZero() {
		at := u.LastAck.UTC().Truncate(time.Millisecond)
		age := max(time.Since(u.LastAck).Seconds(), 0)
		c.LastAck, c.LastAckAgeS = &at, &age
	}
	if s, ok := g.broker.Session(uplink.ClientID); ok {
		c.Backlog = bridge.Backlog{Messages: s.Messages, Bytes: s.Bytes, Classes: backlogByClass(s)}
		if !s.Oldest.IsZero() && s.Messages > 0 {
			c.Backlog.OldestS = max(time.Since(s.Oldest).Seconds(), 0)
		}
		c.Dropped, c.Refused = s.Dropped, s.Refused
	}
	c.DroppedBy = g.gaps.lost.with(&u)
	c.ReconnectsBy = u.ReconnectsBy.ByName()
	return c
}

// health is what the gateway's own health topic tells.
func (g *Gateway) health() bridge.Health {
	c := g.cloud()
	disk, temperature, underVoltage := g.board()
	return bridge.Health{
		State: c.State, Code: c.Code, Text: c.Text,
		Backlog: c.Backlog, Dropped: c.Dropped, DroppedBy: some(c.DroppedBy), LastAck: c.LastAck, LastAckAgeS: c.LastAckAgeS,
		RoundTripMS: c.RoundTripMS, Reconnects: c.Reconnects, ReconnectsBy: some(c.ReconnectsBy), Clock: g.clockInfo(),
		Disk: disk, Temperature: temperature, UnderVolt: underVoltage,
	}
}

// some leaves out what is 0: health goes over the air each minute.
func some(counts map[string]uint64) map[string]uint64 {
	maps.DeleteFunc(counts, func(_ string, n uint64) bool { return n == 0 })
	return counts
}

// board tells of the disk and of what the board measures.
func (g *Gateway) board() (disk *bridge.Disk, temperature *float64, underVoltage *bool) {
	b := g.broker.Status()
	found, temperature, underVoltage := g.facts.of(g.machine, g.opts.State, b.Alarms["E601"] == "" && b.Alarms["E602"] == "")
	if found != nil {
		d := *found
		d.JournalBytes = b.JournalWritten
		disk = &d
	}
	return disk, temperature, underVoltage
}

func (g *Gateway) clockInfo() bridge.ClockInfo { return bridge.ClockInfo{Believed: g.clock.Believed()} }

// info is what the gateway's own info topic tells.
func (g *Gateway) info() bridge.Info {
	cfg, _ := g.config()
	return bridge.Info{
		Version: g.opts.Version, UptimeS: int64(g.clock.Uptime().Seconds()), Model: g.machine.model(), Addresses: addresses(),
		Clock: g.clockInfo(), ConfigHash: cfg.Hash, Tags: cfg.Gateway.Tags,
	}
}

func alarmDo(code string) string {
	switch code {
	case "E601":
		return "free space on the disk; edged goes on by itself"
	case "E602":
		return "look at the disk (dmesg); edged tries again by itself; until then publishers at QoS 1 and 2 wait"
	case "E603":
		return "the damaged part was set aside beside the journal; replace the disk if this happens again"
	}
	return "see the log: journalctl -u edged"
}

func deviceDo(code string) string {
	switch code {
	case "E101":
		return "plug it in; it comes back by itself"
	case "E102":
		return "give the user edged the port's group, see the reason"
	case "E103":
		return "stop the other program; the port is opened as soon as it is free"
	case "E105":
		return "check serial = \"…\" against the device's data sheet"
	case "E106":
		return "check power and wiring (TX and RX crossed?)"
	case "E107":
		return "compare format and parse with what the device sends"
	case "E120":
		return "check the device; it goes online with its next reading"
	}
	return "see the log: journalctl -u edged"
}
