// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/mqtt"
	"edged/uplink/reach"
)

// Guest is who [Check] says it is.
type Guest struct {
	ClientID string
	// Beside says that the session of the configuration lives: Check has another ClientID then, leaves nothing at the
	// server, and a server that does not let such a one in is no fault. Else its session is the one of the configuration,
	// which stays at the server as it was.
	Beside bool
}

// Finding is one step of a check.
type Finding struct {
	Server string  `json:"server"`
	Step   string  `json:"step"` // resolve, tcp, proxy, tls, websocket, mqtt, round trip
	OK     bool    `json:"ok"`
	MS     float64 `json:"ms"`
	Code   string  `json:"code,omitempty"`
	Text   string  `json:"text,omitempty"`  // what came of it, or what is wrong and what to do
	Cause  string  `json:"cause,omitempty"` // what was seen, in the words of whoever saw it
}

// Check goes the way to each address of the cloud once, as far as a session and a round trip in it, and tells each step
// as it ends. It subscribes to nothing, publishes nothing and has no will. It returns how many addresses it reached; the
// error tells what of cfg cannot be.
func Check(ctx context.Context, cfg Config, deps Deps, as Guest, told func(Finding)) (reached int, err error) {
	u, err := New(cfg, deps)
	if err != nil {
		return 0, err
	}
	for _, t := range u.targets {
		if u.check(ctx, t, as, told) {
			reached++
		}
		if ctx.Err() != nil {
			return reached, ctx.Err()
		}
	}
	return reached, nil
}

// check goes the way to one address.
func (u *Uplink) check(ctx context.Context, t reach.Target, as Guest, tell func(Finding)) bool {
	step := func(s reach.Step) {
		f := Finding{Server: t.String(), Step: s.Name, OK: s.Err == nil, MS: float64(s.Took.Microseconds()) / 1000, Text: s.Text}
		if s.Err != nil {
			f.Code, f.Text = told(s.Err)
			f.Cause = causeText(s.Err)
		}
		tell(f)
	}
	l, err := u.dialer.Open(ctx, t, step)
	if err != nil {
		return false
	}
	began := time.Now()
	c, text, err := u.visit(ctx, l, as)
	step(reach.Step{Name: "mqtt", Text: text, Took: time.Since(began), Err: err})
	if c == nil {
		return err == nil
	}
	began = time.Now()
	err = roundTrip(ctx, c)
	step(reach.Step{Name: "round trip", Text: "PINGREQ to PINGRESP", Took: time.Since(began), Err: err})
	if left := c.Disconnect(ctx); err == nil && left != nil {
		u.log.Debug("leaving the cloud", "err", left)
	}
	return err == nil
}

// visit opens a session; nil with no error: the server lets no guest in beside the session that lives.
func (u *Uplink) visit(ctx context.Context, l *reach.Conn, as Guest) (*mqtt.Client, string, error) {
	shown, err := u.credentials(l.Target.Host)
	if err != nil {
		return nil, "", errors.Join(err, l.Close())
	}
	within, cancel := context.WithTimeout(ctx, connackTime)
	defer cancel()
	cfg := mqtt.Config{
		ClientID: as.ClientID, Version: u.cfg.Version, Clean: as.Beside, KeepAlive: u.cfg.KeepAlive,
		Username: shown.user, Password: shown.password, ReceiveMaximum: 1, ResponseTimeout: 2 * connackTime,
		// What the server owes to the session stays owed.
		ManualAck: true, OnMessage: func(*mqtt.Delivery) {},
	}
	if !as.Beside {
		cfg.SessionExpiry = forever
	}
	c, ack, err := mqtt.Connect(within, l, mqtt.NewSession(), cfg)
	switch {
	case err == nil && ack.SessionPresent:
		return c, "accepted as " + as.ClientID + ", which has a session there", nil
	case err == nil:
		return c, "accepted as " + as.ClientID, nil
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer to CONNECT in %v: %w", connackTime, err)
	}
	explained, _ := u.refusal(l.Target, err)
	if explained == nil {
		return nil, "", u.dialer.Explain(ctx, l, err)
	}
	if code, _ := told(explained); as.Beside && (code == "E312" || code == "E314") {
		return nil, "CONNECT is answered, but no second client is let in beside the session that lives: " + causeText(explained), nil
	}
	return nil, "", explained
}

// roundTrip waits for the answer to a ping.
func roundTrip(ctx context.Context, c *mqtt.Client) error {
	ctx, cancel := context.WithTimeout(ctx, connackTime)
	defer cancel()
	before := c.Progress().LastAck
	c.Ping()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for !c.Progress().LastAck.After(before) {
		select {
		case <-look.C:
		case <-c.Done():
			return fmt.Errorf("the server ended the session: %w", c.Err())
		case <-ctx.Done():
			return fmt.Errorf("no answer to PINGREQ in %v: %w", connackTime, ctx.Err())
		}
	}
	return nil
}

// causeText is what was seen, as far as the text of a failure does not tell it.
func causeText(err error) string {
	var f *failure
	var r *reach.Failure
	switch {
	case errors.As(err, &f) && f.err != nil:
		return f.err.Error()
	case errors.As(err, &r) && r.Err != nil:
		return r.Err.Error()
	}
	return ""
}
