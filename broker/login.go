// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/x509"
	"errors"

	"edged/broker/authority"
	"edged/mqtt/wire"
)

// ErrCredentials is of a user name or password that is wrong.
var ErrCredentials = authority.ErrCredentials

// Login tells who a user is by its name and password, for who asks for both without MQTT. It waits as a CONNECT from that
// address would, and ends with ctx. The error wraps ErrCredentials, or says why it could not be found out.
func (b *Broker) Login(ctx context.Context, address, user string, password []byte) (authority.Client, error) {
	return b.auth.ByPassword(ctx, authority.Credentials{Address: address, HasUsername: true, Username: user, HasPassword: true, Password: password})
}

// certified is a connection whose peer has shown a certificate; it returns nil unless that is verified.
type certified interface{ PeerCertificate() *x509.Certificate }

// owned is a connection on a Unix socket; it tells the user that the peer's process runs as.
type owned interface{ PeerUID() (uid int, ok bool) }

// login finds out who a client from outside is, and its client identifier if it left that to us. It may take until the
// deadline of CONNECT, and holds no lock.
func (c *conn) login(ctx context.Context, p *wire.ConnectPacket) *wire.Fault {
	if c.inside {
		if c.who.ID = p.ClientID; p.ClientID == "" {
			c.who.ID = newClientID()
		}
		return c.admit(p)
	}
	cred := authority.Credentials{
		Address: c.address, ClientID: p.ClientID,
		HasUsername: p.HasUser, Username: p.User, HasPassword: p.HasPassword, Password: p.Password,
	}
	if x, ok := c.nc.(certified); ok {
		cred.Certificate = x.PeerCertificate()
	}
	if x, ok := c.nc.(owned); ok {
		cred.UID, cred.HasUID = x.PeerUID()
	}
	ctx, cancel := context.WithDeadline(ctx, c.since.Add(c.b.limits().ConnectTimeout))
	defer cancel()
	who, err := c.b.auth.Login(ctx, cred)
	switch {
	case err == nil:
		c.who = who
		return c.admit(p)
	case errors.Is(err, authority.ErrCredentials):
		c.b.refuseLogin(c, p, err)
		return c.reject(p.Level, wire.RefusedCredentials, wire.BadCredentials)
	case errors.Is(err, authority.ErrRights):
		c.b.refuseLogin(c, p, err)
		return c.reject(p.Level, wire.RefusedAuthority, wire.NotAuthorized)
	case errors.Is(err, authority.ErrCrowded):
		c.b.refuseLogin(c, p, err)
		return c.reject(p.Level, wire.RefusedUnavailable, wire.ConnectRateExceeded)
	}
	return goodbye() // too late, or the connection is gone
}

// admit takes a client in whose name is known, if it may have its identifier and its will.
func (c *conn) admit(p *wire.ConnectPacket) *wire.Fault {
	why := authority.ErrRights
	if c.who.MayStay() {
		if c.b.acceptsWill(c.who, p.Will) {
			return nil
		}
		why = errWill
	}
	c.b.refuseLogin(c, p, why)
	return c.reject(p.Level, wire.RefusedAuthority, wire.NotAuthorized)
}

var errWill = errors.New("no right to publish its will")

var errTaken = errors.New("the client identifier is another user's")

// isTaken tells whether the session of the client identifier is another user's. It stays that user's until it ends,
// although others may have a right to the identifier too: nobody gets at what is owed to somebody else, and nobody can
// put an end to it. The set-up lock is held.
func (c *conn) isTaken(clientID string) bool {
	s := c.b.find(clientID)
	return s != nil && !c.inside && s.User != c.who.User() && c.b.client(s).MayStay()
}

// refuseLogin counts and logs a client that was not let in, never with its password: a user name is told only where there
// is such a user, for people put passwords there.
func (b *Broker) refuseLogin(c *conn, p *wire.ConnectPacket, why error) {
	loud, n := b.refused.note(refusedLogin, c.address)
	if !loud {
		return
	}
	user := ""
	if p.HasUser && b.auth.Knows(p.User) {
		user = p.User
	}
	b.log.Warn("a client was not let in: "+why.Error(), "code", "E403", "address", c.peer(), "client_id", printable(p.ClientID), "user", user, "so_far", n)
}

// printable is a client's text for the log.
func printable(s string) string {
	const most = 64
	r := []rune(s)
	for i := range r {
		if r[i] < ' ' || r[i] >= 0x7f && r[i] < 0xa0 {
			r[i] = '?'
		}
	}
	if len(r) > most {
		return string(r[:most]) + "…"
	}
	return string(r)
}
