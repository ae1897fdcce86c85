// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"edged/mqtt"
	"edged/uplink/learn"
	"edged/uplink/reach"
)

const (
	learnEvery  = 30 * time.Second // between two looks whether there is something to learn
	learnProof  = 5 * time.Second  // how long a session lasts that shows that the way is good
	learnAgain  = 10 * time.Minute // after a try that told nothing
	learnRefuse = 6 * time.Hour    // after the server let no second client in
	answerTime  = 10 * time.Second // for the ping after an idle time

	lateBack  = 5 * time.Second         // beyond its keep-alive a link that forgot us is back at the latest
	handshake = 1500 * time.Millisecond // which is left of that for a new one
)

// keepAlive is what a session in a network asks for.
func (u *Uplink) keepAlive(network string) time.Duration {
	if !u.cfg.KeepAuto {
		return u.cfg.KeepAlive
	}
	return u.networks.Of(network).KeepAlive(u.mostIdle())
}

// pingAfter is how long a session is idle until a ping goes out: three quarters of its keep-alive, or less where the rest
// of it is too short for what follows until the link is back: the patience with the ping, the wait and a new connection.
func pingAfter(keepAlive time.Duration) time.Duration {
	const back = minPatience + watchEvery + firstSpan + handshake
	return min(keepAlive/4*3, max(keepAlive/5, keepAlive+lateBack-back))
}

// mostIdle is how long a connection may be idle for the server's sake, at most. A ping goes out after 3/4 of a keep-alive,
// so less than that can be tried.
func (u *Uplink) mostIdle() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	limit := time.Duration(math.MaxUint16) * time.Second
	for _, l := range []time.Duration{u.topics.cloud.KeepAlive(), u.allowed} {
		if l > 0 {
			limit = min(limit, l)
		}
	}
	return limit / 3 * 2
}

// allows notes the keep-alive that a server of MQTT 5 set in the place of ours.
func (u *Uplink) allows(asked, set time.Duration) {
	if set <= 0 || set >= asked {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.allowed = set
}

// networkOf names the network that a connection goes through: our address in it and the way out.
func networkOf(c net.Conn) string {
	local := c.LocalAddr().String()
	if a, err := netip.ParseAddrPort(local); err == nil {
		local = a.Addr().Unmap().WithZone("").String()
	}
	if way := defaultRoute(); way != "" {
		return local + " via " + way
	}
	return local
}

// defaultRoute is the gateway of the default route for IPv4 (proc(5), /proc/net/route: its address is a hexadecimal number
// in the byte order of the machine); "": there is none.
func defaultRoute() (gateway string) {
	f, err := os.Open("/proc/net/route")
	if err != nil {
		return ""
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() && gateway == "" {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || fields[1] != "00000000" {
			continue
		}
		if raw, err := hex.DecodeString(fields[2]); err == nil && len(raw) == 4 {
			var a [4]byte
			binary.NativeEndian.PutUint32(a[:], binary.BigEndian.Uint32(raw))
			gateway = netip.AddrFrom4(a).String()
		}
	}
	if err := errors.Join(lines.Err(), f.Close()); err != nil {
		return ""
	}
	return gateway
}

// learnIdle finds out how long connections may be idle in the networks that the sessions go through, until ctx ends. It
// tries on connections of its own: a session is never put at risk for it.
func (u *Uplink) learnIdle(ctx context.Context) {
	if !u.cfg.KeepAuto {
		return
	}
	dialer := reach.New(u.cfg.way(), u.deps.way(nil))
	for wait := learnEvery; ; {
		if sleep(ctx, wait); ctx.Err() != nil {
			return
		}
		wait = learnEvery
		u.mu.Lock()
		s := u.live
		u.mu.Unlock()
		if s == nil || time.Since(s.up) < learnProof {
			continue
		}
		known := u.networks.Of(s.network)
		idle, more := known.Next(u.mostIdle())
		if !more {
			continue
		}
		lived, told := u.tryIdle(ctx, dialer, s.line.Target, s.network, idle)
		switch {
		case ctx.Err() != nil:
			return
		case told != nil:
			wait = learnAgain
			var refused *mqtt.RefusedError
			if errors.As(told, &refused) {
				wait = learnRefuse
			}
			u.log.Info("how long a connection may be idle could not be tried", "idle", idle, "err", told, "again_in", wait)
		default:
			u.log.Info("tried how long a connection may be idle", "network", s.network, "idle", idle, "lived", lived)
			if err := u.networks.Keep(s.network, known.Learn(idle, lived)); err != nil {
				u.log.Info("what was learnt of a network is not kept", "err", err)
			}
		}
	}
}

var errTold = errors.New("the try told nothing")

// tryIdle leaves a connection idle and says whether it lived. An error says that nobody knows.
func (u *Uplink) tryIdle(ctx context.Context, dialer *reach.Dialer, t reach.Target, network string, idle time.Duration) (lived bool, err error) {
	l, err := dialer.Open(ctx, t, nil)
	if err != nil {
		return false, err
	}
	if networkOf(l.Raw) != network {
		return false, errors.Join(errTold, l.Close())
	}
	as, err := u.credentials(t.Host)
	if err != nil {
		return false, errors.Join(err, l.Close())
	}
	starting, cancel := context.WithTimeout(ctx, connackTime)
	defer cancel()
	asked := min(2*idle, 3*u.mostIdle()/2).Truncate(time.Second)
	c, ack, err := mqtt.Connect(starting, l, nil, mqtt.Config{
		ClientID: u.cfg.ClientID + "-idle", Version: u.cfg.Version, Clean: true, KeepAlive: asked, Username: as.user, Password: as.password,
		ResponseTimeout: silence,
	})
	if err != nil {
		return false, err
	}
	defer func() {
		u.drop(c)
		<-c.Done()
	}()
	if u.allows(asked, ack.KeepAlive); ack.KeepAlive/4*3 <= idle {
		return false, errTold // a ping would come before
	}
	select {
	case <-time.After(idle):
	case <-c.Done():
		return false, errors.Join(errTold, c.Err()) // that was not silence
	case <-ctx.Done():
		return false, ctx.Err()
	}
	if u.answers(ctx, c) {
		return true, nil
	}
	// Is it the connection alone that is dead?
	again, err := dialer.Open(ctx, t, nil)
	if err != nil {
		return false, err
	}
	return false, again.Close()
}

// answers says whether a ping is answered.
func (u *Uplink) answers(ctx context.Context, c *mqtt.Client) bool {
	before := c.Progress().LastAck
	c.Ping()
	late := time.After(answerTime)
	for {
		select {
		case <-time.After(100 * time.Millisecond):
			if c.Progress().LastAck.After(before) {
				return true
			}
		case <-late:
			return false
		case <-c.Done():
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// drop closes a connection of which nothing is wanted any more.
func (u *Uplink) drop(c *mqtt.Client) {
	if err := c.Close(); err != nil {
		u.log.Debug("close a connection to the cloud", "err", err)
	}
}

// errLearnt is why a session ends whose network lets connections be idle for another time than it asked for.
var errLearnt = errors.New("another keep-alive was learnt for this network; it is used from now on")

// adopt ends a session once all is learnt of its network and that is far from what it asked for, or shorter.
func (s *session) adopt(ctx context.Context) error {
	if !s.u.cfg.KeepAuto {
		return nil
	}
	for {
		if sleep(ctx, learnEvery); ctx.Err() != nil {
			return nil
		}
		limit := s.u.mostIdle()
		known := s.u.networks.Of(s.network)
		_, more := known.Next(limit)
		use := known.KeepAlive(limit)
		if use < s.asked || !more && use > s.asked*5/4 {
			return errLearnt
		}
		if time.Since(s.up) > 2*s.asked {
			s.doubt(false)
		}
	}
}

// doubt notes whether the link of a session died or lives on.
func (s *session) doubt(died bool) {
	if !s.u.cfg.KeepAuto {
		return
	}
	if _, more := s.u.networks.Of(s.network).Next(s.u.mostIdle()); more {
		return // nothing is believed yet
	}
	if err := s.u.networks.Doubt(s.network, died); err != nil {
		s.u.log.Info("what was learnt of a network is not kept", "err", err)
	}
}

// openNetworks reads what was learnt before.
func (u *Uplink) openNetworks() {
	var err error
	if u.networks, err = learn.Open(u.deps.Networks); err != nil {
		u.log.Info("what was learnt of networks is learnt again", "err", err)
	}
}
