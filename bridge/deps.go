// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"context"
	"log/slog"
	"net"
	"time"

	"edged/bridge/bus"
	"edged/bridge/port"
	"edged/devices"
)

// Dialer opens a connection to the broker for the client of that ClientId.
type Dialer func(clientID string) (net.Conn, error)

// Ports opens ports; [port.System] is the machine's.
type Ports interface {
	Open(ctx context.Context, r port.Request) (port.Port, error)
	// Changed is closed when a port may have come or gone.
	Changed() <-chan struct{}
}

// Clock has an opinion on the wall clock.
type Clock interface {
	Believed() bool        // whether time.Now may be believed
	Uptime() time.Duration // since the gateway started, whatever the wall clock did
}

// Deps is what a bridge needs from outside.
type Deps struct {
	Gateway string          // the gateway's id
	Dial    Dialer          // to the broker
	Ports   Ports           // of this machine
	Bus     *bus.Bus        // the shared line of the device; nil: it has a port of its own
	Machine devices.Machine // what sensors that are on no port may use; its Store, Now and Wait are the bridge's
	Keep    *KeepStore      // where sensors keep what must survive; nil: they forget it
	Seq     *SeqStore       // nil: seq begins at 1 and is forgotten
	Clock   Clock           // nil: always believed
	Log     *slog.Logger
	Seed    uint64 // of the simulator behind the port "sim"

	// Event publishes an event of the gateway. The channel is closed once the broker has it, or never will. nil: there
	// are no events. It must not block.
	Event func(Event) <-chan struct{}
	// Changed is called when the device has readings that it was not known to have, so that it is announced anew. nil:
	// nobody wants to know. It must not block.
	Changed func(device string)
}

// Event is one message on edged/<gw>/event.
type Event struct {
	Time   time.Time
	Code   string // E…
	Level  string // "info", "warning" or "error"
	Device string // "": of the gateway
	Text   string

	First, Last uint64 // of E605: the range of seq that was skipped
}

// DeviceClient is the ClientId of a device's session on the local broker.
func DeviceClient(device string) string { return "edged-dev-" + device }

// GatewayClient is the ClientId of the gateway's own session on the local broker.
const GatewayClient = "edged-gateway"

// DeviceRights gives the topic filters that a device's session publishes and subscribes to.
func DeviceRights(gateway, device string) (publish, subscribe []string) {
	t := topics{gateway, device}
	return []string{t.of("status"), t.of("health"), t.of("meta"), t.of("data"), t.of("result")}, []string{t.of("set")}
}

// Restated gives filters of what is retained for who subscribes later, but said anew after each start: a card is not
// written each minute for it.
func Restated(gateway string) []string {
	return []string{topics{gateway: gateway, device: "+"}.of("health"), "edged/" + gateway + "/health"}
}

// GatewayRights gives the topic filters that the gateway's own session publishes and subscribes to.
func GatewayRights(gateway string) (publish, subscribe []string) {
	own := "edged/" + gateway + "/"
	return []string{own + "status", own + "info", own + "health", own + "event", own + "dev/#", discoveryFilter},
		[]string{own + "status", own + "dev/+/+", discoveryFilter, homeAssistantStatus}
}

// topics names the topics of a device.
type topics struct{ gateway, device string }

func (t topics) of(leaf string) string { return "edged/" + t.gateway + "/dev/" + t.device + "/" + leaf }
