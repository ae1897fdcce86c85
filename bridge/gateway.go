// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"edged/mqtt"
)

// GatewayDeps is what the gateway's own session needs from outside.
type GatewayDeps struct {
	Gateway string // the gateway's id
	Version string // of edged
	Dial    Dialer
	Log     *slog.Logger
	Info    func() Info   // what there is to say on info; nil: nothing
	Health  func() Health // on health; nil: nothing. It is called each second
}

// Info is the payload of edged/<gw>/info.
type Info struct {
	Version    string            `json:"version"`
	UptimeS    int64             `json:"uptime_s"`
	Model      string            `json:"model,omitempty"` // of the board
	Addresses  []string          `json:"addresses"`
	Clock      ClockInfo         `json:"clock"`
	ConfigHash string            `json:"config_hash"`
	Tags       map[string]string `json:"tags,omitempty"`
}

// ClockInfo says whether the clock may be believed.
type ClockInfo struct {
	Believed bool `json:"believed"`
}

// Health is the payload of edged/<gw>/health.
type Health struct {
	State       string     `json:"state"` // of the link to the cloud: up, down, refused or off
	Code        string     `json:"code,omitempty"`
	Text        string     `json:"text,omitempty"`
	Backlog     Backlog    `json:"backlog"`
	Dropped     uint64     `json:"dropped"`                  // messages given up so far
	LastAck     *time.Time `json:"last_ack,omitempty"`       // nil: none yet
	LastAckAgeS *float64   `json:"last_ack_age_s,omitempty"` // the same, whatever the clock did
	RoundTripMS float64    `json:"round_trip_ms,omitempty"`
	Reconnects  uint64     `json:"reconnects"`
	Clock       ClockInfo  `json:"clock"`

	DroppedBy    map[string]uint64 `json:"dropped_by,omitempty"`    // by reason; those that are 0 are left out
	ReconnectsBy map[string]uint64 `json:"reconnects_by,omitempty"` // by how the session before ended; the same

	Disk        *Disk    `json:"disk,omitempty"`
	Temperature *float64 `json:"temperature,omitempty"` // °C, of the processor
	UnderVolt   *bool    `json:"under_voltage,omitempty"`
}

// Backlog is what is owed to the cloud.
type Backlog struct {
	Messages uint64  `json:"messages"`
	Bytes    int64   `json:"bytes"`
	OldestS  float64 `json:"oldest_s"` // age of the oldest message

	Classes map[string]ClassBacklog `json:"classes,omitempty"` // the same by class: event, status and readings
}

// ClassBacklog is what of a backlog is of one class.
type ClassBacklog struct {
	Messages uint64 `json:"messages"`
	Bytes    int64  `json:"bytes"`
}

// Disk is the disk that the journal is on.
type Disk struct {
	FreeBytes  uint64 `json:"free_bytes"`
	TotalBytes uint64 `json:"total_bytes"`
	Writable   bool   `json:"writable"`

	WrittenBytes *uint64  `json:"written_bytes,omitempty"` // to the device, by everybody, since the machine started
	JournalBytes uint64   `json:"journal_written_bytes"`   // by the broker's journal, since the gateway started
	LifeYears    *float64 `json:"life_years,omitempty"`    // that the device lasts if it goes on like this
}

const (
	eventsWaiting = 100 // events that wait for the broker; beyond, the oldest are given up
	infoEvery     = time.Hour
	lookEvery     = time.Second // at health
)

// Gateway is the session edged-gateway: the gateway's own topics, and Home Assistant's discovery of the devices.
type Gateway struct {
	deps GatewayDeps
	link *link

	mu      sync.Mutex
	bridges map[string]*Bridge
	changed chan struct{} // holds one: health is to be looked at
	renewed chan string   // devices to announce anew; when it is full, all are
	all     chan struct{} // holds one: announce all anew
	greeted chan struct{} // holds one: the broker may know nothing
}

// NewGateway returns the gateway's session, which knows of no device.
func NewGateway(d GatewayDeps) *Gateway {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	g := &Gateway{
		deps: d, bridges: map[string]*Bridge{},
		changed: make(chan struct{}, 1), renewed: make(chan string, 16), all: make(chan struct{}, 1),
		greeted: make(chan struct{}, 1),
	}
	g.link = &link{
		dial: d.Dial, session: mqtt.NewSession(), out: newOutbox(func() int { return eventsWaiting }), log: d.Log,
		config: mqtt.Config{
			ClientID: GatewayClient, Version: 5, Clean: true, KeepAlive: 30 * time.Second, Window: inFlight,
			Will: &mqtt.Will{Message: mqtt.Message{Topic: g.topic("status"), Payload: []byte(offline), QoS: 1, Retain: true}},
		},
		subscribe: []mqtt.Subscription{{Filter: homeAssistantStatus, QoS: 1}},
		greet:     g.greet,
		receive:   g.receive,
	}
	return g
}

func (g *Gateway) topic(leaf string) string { return "edged/" + g.deps.Gateway + "/" + leaf }

// SetDevices says which devices there are.
func (g *Gateway) SetDevices(bridges ...*Bridge) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bridges = map[string]*Bridge{}
	for _, b := range bridges {
		g.bridges[b.Name()] = b
	}
	signal(g.all)
}

// Forget clears what is retained of devices that are not there any more.
func (g *Gateway) Forget(names ...string) {
	for _, name := range names {
		for _, leaf := range []string{"status", "health", "meta", "data"} {
			g.clear(g.topic("dev/" + name + "/" + leaf))
		}
		g.clear(discoveryTopic(g.deps.Gateway, name))
	}
}

func (g *Gateway) clear(topic string) {
	g.link.out.push(item{Message: mqtt.Message{Topic: topic, QoS: 1, Retain: true}, only: topic})
}

// Event publishes an event, once the session runs. The channel is closed when the broker has it or it was given up.
func (g *Gateway) Event(e Event) <-chan struct{} {
	payload, err := json.Marshal(struct {
		Time   string  `json:"time"`
		Code   string  `json:"code"`
		Level  string  `json:"level"`
		Device string  `json:"device,omitempty"`
		Text   string  `json:"text"`
		First  *uint64 `json:"first,omitempty"`
		Last   *uint64 `json:"last,omitempty"`
	}{stamp(e.Time), e.Code, e.Level, e.Device, e.Text, orNil(e.First, e.Last), orNil(e.Last, e.Last)})
	done := make(chan struct{})
	if err != nil {
		g.deps.Log.Error("event cannot be written", "err", err)
		close(done)
		return done
	}
	g.link.out.push(item{
		Message: mqtt.Message{Topic: g.topic("event"), Payload: payload, QoS: 1}, data: true, keep: true, done: done,
	})
	return done
}

func orNil(x, there uint64) *uint64 {
	if there == 0 {
		return nil
	}
	return &x
}

// Announce announces a device to Home Assistant anew, since more of it is known.
func (g *Gateway) Announce(device string) {
	select {
	case g.renewed <- device:
	default:
		signal(g.all)
	}
}

// Changed has health looked at soon: the link's state or code changed, or the backlog went from or to nothing.
func (g *Gateway) Changed() { signal(g.changed) }

// Run carries the session until ctx ends; then the gateway is offline.
func (g *Gateway) Run(ctx context.Context) error {
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	linked, unlink := context.WithCancel(serving)
	var parts sync.WaitGroup
	failed := make(chan error, 1)
	parts.Go(func() { failed <- contain(func() error { return g.link.run(linked, serving) }) })
	err := contain(func() error { g.tell(ctx); return nil })
	g.link.out.push(g.status(offline))
	unlink()
	parts.Wait()
	if err != nil {
		return err
	}
	return <-failed
}

// tell publishes info, health and discovery when they are due, until ctx ends.
func (g *Gateway) tell(ctx context.Context) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var h lastHealth
	var i lastInfo
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.greeted:
			h.state, i.at = "", time.Time{}
			g.health(&h)
			g.info(&i)
			g.announceAll()
		case <-g.all:
			g.announceAll()
		case name := <-g.renewed:
			g.announce(name)
		case <-g.changed:
			g.health(&h)
		case <-look.C:
			g.health(&h)
			g.info(&i)
		}
	}
}

// greet tells at a new connection that the gateway is there, and has all else told anew.
func (g *Gateway) greet() {
	g.link.out.first(g.status(online))
	signal(g.greeted)
}

func (g *Gateway) status(state string) item {
	return item{Message: mqtt.Message{Topic: g.topic("status"), Payload: []byte(state), QoS: 1, Retain: true}, only: "status"}
}

// receive hears that Home Assistant has started, and with it lost what was announced.
func (g *Gateway) receive(m mqtt.Message, _ time.Duration) {
	if m.Topic == homeAssistantStatus && string(m.Payload) == online {
		signal(g.all)
	}
}

// lastHealth is what was last said on health.
type lastHealth struct {
	at          time.Time
	state, code string
	backlog     bool
}

// health publishes health where it is due: each minute, and when what matters has changed, at most once a second.
func (g *Gateway) health(last *lastHealth) {
	if g.deps.Health == nil {
		return
	}
	now := time.Now()
	h := g.deps.Health()
	same := h.State == last.state && h.Code == last.code && (h.Backlog.Messages > 0) == last.backlog
	if since := now.Sub(last.at); since < healthGap || same && since < healthEvery {
		return
	}
	*last = lastHealth{now, h.State, h.Code, h.Backlog.Messages > 0}
	payload, err := json.Marshal(h)
	if err != nil {
		g.deps.Log.Error("health cannot be written", "err", err)
		return
	}
	g.link.out.push(item{Message: mqtt.Message{Topic: g.topic("health"), Payload: payload, Retain: true}, only: "health"})
}

// lastInfo is what was last said on info.
type lastInfo struct {
	at   time.Time
	text string // without uptime
}

// info publishes info when something other than the uptime has changed, and each hour.
func (g *Gateway) info(last *lastInfo) {
	if g.deps.Info == nil || time.Since(last.at) < healthGap {
		return
	}
	i := g.deps.Info()
	uptime := i.UptimeS
	i.UptimeS = 0
	text, err := json.Marshal(i)
	if err != nil {
		g.deps.Log.Error("info cannot be written", "err", err)
		return
	}
	if string(text) == last.text && time.Since(last.at) < infoEvery {
		return
	}
	*last = lastInfo{time.Now(), string(text)}
	i.UptimeS = uptime
	if text, err = json.Marshal(i); err != nil {
		g.deps.Log.Error("info cannot be written", "err", err)
		return
	}
	g.link.out.push(item{Message: mqtt.Message{Topic: g.topic("info"), Payload: text, QoS: 1, Retain: true}, only: "info"})
}

func (g *Gateway) announceAll() {
	g.mu.Lock()
	names := sortedKeys(g.bridges)
	g.mu.Unlock()
	for _, name := range names {
		g.announce(name)
	}
}

func (g *Gateway) announce(name string) {
	g.mu.Lock()
	b := g.bridges[name]
	g.mu.Unlock()
	if b == nil {
		return
	}
	payload, err := b.discovery(g.deps.Version)
	if err != nil {
		g.deps.Log.Error("device cannot be announced", "err", err)
		return
	}
	topic := discoveryTopic(g.deps.Gateway, name)
	g.link.out.push(item{Message: mqtt.Message{Topic: topic, Payload: payload, QoS: 1, Retain: true}, only: topic})
}

func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
