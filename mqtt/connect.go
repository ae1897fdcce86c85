// SPDX-License-Identifier: Apache-2.0

package mqtt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"time"

	"edged/mqtt/wire"
)

// Connack is what the server answered to CONNECT, with what holds where it is silent.
type Connack struct {
	SessionPresent    bool
	Code              byte // return code of 3.1.1, or reason code of MQTT 5
	Reason            string
	ClientID          string        // ours, or what the server assigned
	KeepAlive         time.Duration // 0: off
	SessionExpiry     time.Duration
	ReceiveMaximum    int
	MaximumQoS        byte
	RetainAvailable   bool
	MaximumPacketSize int // bytes
	TopicAliasMaximum int
	Server            string // another one to use, of a refusal
	NoWildcards       bool
	NoSubIDs          bool
	NoShared          bool
}

// Connect sends CONNECT on nc, which it closes if it fails, and waits for CONNACK. Then everything that s holds is sent
// again, before what is published through the new client: under the same identifiers, with DUP, if the server still has
// the session, else as new. A nil s is an empty one.
//
// ctx bounds this call, not the connection. A refusal is a [RefusedError].
func Connect(ctx context.Context, nc net.Conn, s *Session, cfg Config) (*Client, Connack, error) {
	cfg = cfg.withDefaults()
	if s == nil {
		s = NewSession()
	}
	c, ack, err := connect(ctx, nc, s, cfg)
	if err != nil {
		return nil, ack, errors.Join(fmt.Errorf("connect: %w", err), ignoreClosed(nc.Close()))
	}
	go c.readLoop()
	go c.writeLoop()
	return c, ack, nil
}

func connect(ctx context.Context, nc net.Conn, s *Session, cfg Config) (*Client, Connack, error) {
	if err := cfg.check(); err != nil {
		return nil, Connack{}, err
	}
	in := &inbox{nc: nc, max: int(cfg.MaximumPacketSize), idle: func() {}}
	p, err := shakeHands(ctx, nc, in, &cfg)
	if err != nil {
		return nil, Connack{}, err
	}
	ack := limitsOf(p, &cfg)
	if p.Code != 0 {
		return nil, ack, &RefusedError{Version: cfg.Version, Code: p.Code, Reason: p.Reason, Server: p.Server}
	}
	if p.SessionPresent && cfg.Clean {
		return nil, ack, errors.New("the server has a session although none was to be there")
	}
	now := time.Now()
	c := &Client{
		nc: nc, s: s, cfg: cfg, ack: ack, in: in, window: min(cfg.Window, ack.ReceiveMaximum),
		turn: make(chan struct{}, 1), room: make(chan struct{}, 1), drained: make(chan struct{}, 1),
		wake: make(chan struct{}, 1), ended: make(chan struct{}), flushed: make(chan struct{}), written: make(chan struct{}), done: make(chan struct{}),
		requests: map[uint16]*request{}, inbound: map[uint16]byte{}, lastAck: now, lastSent: now,
		settled: &Pending{done: make(chan struct{})},
		aliases: aliases{max: min(int(cfg.TopicAliases), ack.TopicAliasMaximum)},
	}
	close(c.settled.done)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client != nil {
		return nil, ack, errInUse
	}
	s.take(c, p.SessionPresent)
	c.pump(now)
	return c, ack, nil
}

// shakeHands sends CONNECT and reads CONNACK, within ctx and the response time.
func shakeHands(ctx context.Context, nc net.Conn, in *inbox, cfg *Config) (*wire.ConnackPacket, error) {
	if err := nc.SetDeadline(time.Now().Add(cfg.ResponseTimeout)); err != nil {
		return nil, err
	}
	cut := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { cut <- nc.SetDeadline(time.Unix(1, 0)) })
	p, err := exchange(nc, in, cfg)
	if !stop() {
		return nil, errors.Join(ctx.Err(), <-cut)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("CONNACK: %w in %v", ErrNoAnswer, cfg.ResponseTimeout)
	}
	if err != nil {
		return nil, err
	}
	return p, nc.SetDeadline(time.Time{})
}

func exchange(nc net.Conn, in *inbox, cfg *Config) (*wire.ConnackPacket, error) {
	if _, err := nc.Write(wire.AppendConnect(nil, cfg.packet())); err != nil {
		return nil, fmt.Errorf("write CONNECT: %w", err)
	}
	h, body, err := in.packet()
	if err != nil {
		return nil, fmt.Errorf("read CONNACK: %w", err)
	}
	if h>>4 != wire.Connack {
		return nil, fmt.Errorf("the server's first packet is of type %d, not CONNACK", h>>4)
	}
	if f := wire.CheckFromServer(h, body, cfg.Version); f != nil {
		return nil, fmt.Errorf("read CONNACK: %w", f)
	}
	p, f := wire.DecodeConnack(body, cfg.Version)
	if f != nil {
		return nil, fmt.Errorf("read CONNACK: %w", f)
	}
	return p, nil
}

// limitsOf fills in what holds where the server is silent (MQTT 5.0, 3.2.2.3).
func limitsOf(p *wire.ConnackPacket, cfg *Config) Connack {
	a := Connack{
		SessionPresent: p.SessionPresent, Code: p.Code, Reason: p.Reason, ClientID: cfg.ClientID,
		KeepAlive: time.Duration(seconds(cfg.KeepAlive)) * time.Second, SessionExpiry: cfg.SessionExpiry,
		ReceiveMaximum: math.MaxUint16, MaximumQoS: 2, RetainAvailable: !p.NoRetain, MaximumPacketSize: wire.MaxLength + 5,
		TopicAliasMaximum: int(p.TopicAliasMaximum), Server: p.Server,
		NoWildcards: p.NoWildcards, NoSubIDs: p.NoSubIDs, NoShared: p.NoShared,
	}
	if p.AssignedClientID != "" {
		a.ClientID = p.AssignedClientID
	}
	if p.ServerKeepAlive != nil {
		a.KeepAlive = time.Duration(*p.ServerKeepAlive) * time.Second
	}
	if p.SessionExpiry != nil {
		a.SessionExpiry = time.Duration(*p.SessionExpiry) * time.Second
	}
	if p.ReceiveMaximum > 0 {
		a.ReceiveMaximum = int(p.ReceiveMaximum)
	}
	if p.MaximumQoS != nil {
		a.MaximumQoS = *p.MaximumQoS
	}
	if p.MaximumPacketSize > 0 && int64(p.MaximumPacketSize) < wire.MaxLength {
		a.MaximumPacketSize = int(p.MaximumPacketSize)
	}
	return a
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
