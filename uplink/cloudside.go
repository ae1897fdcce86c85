// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"edged/mqtt"
	"edged/uplink/dialect"
	"edged/uplink/reach"
)

// settings is what a dialect judges; gateway is "" where it is not known yet.
func (c Config) settings(gateway string) *dialect.Settings {
	s := &dialect.Settings{
		Gateway: gateway, Version: c.Version, QoS: c.QoS, ClientID: c.ClientID, Username: c.Username, HasPassword: c.Password != nil,
		HasCert: c.Cert != "", ALPN: c.ALPN, Prefix: c.Prefix, KeepAlive: c.KeepAlive, Inflight: c.Inflight, Send: c.Send, Receive: c.Receive,
	}
	for _, text := range c.URLs {
		if t, err := reach.ParseTarget(text); err == nil {
			s.Servers = append(s.Servers, dialect.Server{
				Host: t.Host, Port: t.Port, Encrypted: t.Scheme == "mqtts" || t.Scheme == "wss" || t.Scheme == "mqtts+srv", WebSocket: t.Scheme == "ws" || t.Scheme == "wss",
			})
		}
	}
	return s
}

// validateCloud reports what the cloud cannot carry.
func (c Config) validateCloud(report func(key, problem string)) {
	d := dialect.For(c.Cloud)
	if d == nil {
		report("cloud", fmt.Sprintf("%q is not known; possible: %q", c.Cloud, dialect.Names()))
		return
	}
	if c.Batch.Every != 0 && d.Fixed() {
		report("batch.every", "this cloud has topics of its own, and none for batches")
	}
	d.Validate(c.settings(""), report)
}

// shown is what a session shows to be let in.
type shown struct {
	user      string
	password  []byte
	ends      time.Time // zero: never
	keepAlive time.Duration
}

// credentials are what a session with a server shows. They are read anew each time.
func (u *Uplink) credentials(host string) (as shown, err error) {
	as.user = u.cfg.Username
	if u.cfg.Password != nil {
		if as.password, err = u.cfg.Password(); err != nil {
			return shown{}, fmt.Errorf("read the password for the cloud: %w", err)
		}
	}
	if u.cfg.Cloud != dialect.Azure {
		return as, nil
	}
	if as.user == "" {
		as.user = dialect.AzureUser(host, u.cfg.ClientID)
	}
	if as.password == nil {
		return as, nil
	}
	now := time.Now()
	if u.deps.Floor != nil && u.deps.Floor().After(now) {
		now = u.deps.Floor()
	}
	as.password, as.ends, err = dialect.AzureToken(as.password, host, u.cfg.ClientID, now)
	if err != nil {
		return shown{}, &failure{"E311", err.Error() + "; correct the file behind uplink.password, which is read anew at each try", nil}
	}
	return as, nil
}

// renew ends a session shortly before its credentials do, so that the next one shows others. The clock of a machine may
// leap, so it is looked at now and then.
func (s *session) renew(ctx context.Context) error {
	if s.ends.IsZero() {
		return nil
	}
	tick := time.NewTicker(renewEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if s.ends.Sub(now.Round(0)) < dialect.TokenSlack && now.Sub(s.up) > dialect.TokenSlack {
				return errRenewal
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// part ends a session for a reason of ours. Where the link lives it does so in order, so that nobody is told that the
// gateway is gone.
func (s *session) part(ctx context.Context, err error) {
	if errors.Is(err, errDead) {
		s.doubt(true)
	}
	if !errors.Is(err, errRenewal) && !errors.Is(err, errLearnt) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastTime)
	defer cancel()
	if left := s.c.Disconnect(ctx); left != nil {
		s.u.log.Debug("leaving the cloud for a moment", "err", left)
	}
}

const renewEvery = 30 * time.Second

// errRenewal is why a session ends whose credentials are about to.
var errRenewal = errors.New("the token for the cloud ends soon; a new one is used")

// presence is what says in the cloud whether the gateway is there.
func (u *Uplink) presence(payload string) mqtt.Message {
	m := mqtt.Message{QoS: 1, Retain: !u.plainWill.retain && u.topics.cloud.Retains()}
	if u.plainWill.qos {
		m.QoS = 0
	}
	spelt, _ := u.topics.spelt(u.topics.status, []byte(payload))
	m.Topic, m.Payload = spelt.Topic, spelt.Payload
	return m
}

// spread lets messages go so that no more go out within a second than the cloud takes: nine tenths of them evenly, a
// twentieth at once.
type spread struct {
	each  time.Duration // between two; 0: as they come
	burst time.Duration
	next  time.Time
}

// newSpread begins a session in which some messages are sent again at once.
func newSpread(rate, again int) spread {
	if rate == 0 {
		return spread{}
	}
	each := 10 * time.Second / time.Duration(9*rate)
	return spread{each: each, burst: each * time.Duration(rate/20), next: time.Now().Add(each * time.Duration(again))}
}

// width is how many messages may be on their way: what is sent again at once shall not be more than the cloud takes.
func (u *Uplink) width() int {
	if rate := u.topics.cloud.Rate(); rate > 0 {
		return min(u.cfg.Inflight, rate*8/10)
	}
	return u.cfg.Inflight
}

// wait waits until the next message may go.
func (p *spread) wait(ctx context.Context) error {
	if p.each == 0 {
		return nil
	}
	now := time.Now()
	if earliest := now.Add(-p.burst); p.next.Before(earliest) {
		p.next = earliest
	}
	p.next = p.next.Add(p.each)
	if d := p.next.Sub(now); d > 0 {
		sleep(ctx, d)
	}
	return ctx.Err()
}
