// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// Why somebody is not let in.
var (
	// ErrCredentials: the user name or the password is wrong.
	ErrCredentials = errors.New("wrong user name or password")
	// ErrRights: whoever it is may not come in, or not under that client identifier.
	ErrRights = errors.New("no right to come in under this client identifier")
	// ErrCrowded: too many logins of an address that has failed wait already.
	ErrCrowded = errors.New("too many failed logins from this address")
)

// Credentials are what a client from outside shows.
type Credentials struct {
	Address     string // of the peer, without port; "" for a Unix socket
	ClientID    string // "": one is to be given to it
	HasUsername bool
	Username    string
	HasPassword bool
	Password    []byte
	Certificate *x509.Certificate // of the peer, verified; nil: none
	HasUID      bool              // the peer is a process on a Unix socket
	UID         int               // and this is its user
}

// Login tells who a client from outside is. It may take seconds, and ends with ctx; the error is one of those above, or
// ctx's. A client without an identifier gets one that its user may use.
//
// A certificate that bears a user's subject is that user, without a password; so is a process on a Unix socket whose
// account has a user's name. Root and our own account may come in there without a name whatever the configuration says,
// and do what the guest may. A user name that is given must be the one so found, or is looked at with its password. While
// there are no users and everybody is let in, a user name makes no difference, as with mosquitto.
func (a *Authority) Login(ctx context.Context, c Credentials) (Client, error) {
	who, err := a.identify(ctx, &c)
	if err == nil {
		if who.ID = c.ClientID; c.ClientID == "" {
			who.ID = who.newClientID()
		}
		if !who.MayStay() {
			err = ErrRights
		}
	}
	if err != nil {
		return Client{ID: c.ClientID}, err
	}
	return who, nil
}

func (a *Authority) identify(ctx context.Context, c *Credentials) (Client, error) {
	w := a.world.Load()
	if c.Certificate != nil {
		if who, ok := w.bearer(c); ok {
			return who, nil
		}
	}
	if c.HasUID {
		if who, ok := a.account(w, c); ok {
			return who, nil
		}
	}
	guest := Client{who: a.guest}
	if !c.HasUsername || guest.rights() != nil && w.users == 0 {
		return guest, nil
	}
	return a.byPassword(ctx, w, c)
}

// bearer finds the user whose subject a certificate bears. Where several are, the user name has to say which.
func (w *world) bearer(c *Credentials) (who Client, ok bool) {
	for _, s := range w.bearers {
		r := s.rights.Load()
		if r == nil || r.subject == nil || c.HasUsername && c.Username != s.name || !r.subject.isBorneBy(c.Certificate) {
			continue
		}
		if ok {
			return Client{}, false
		}
		who, ok = Client{who: s, subject: r.subject}, true
	}
	return who, ok
}

// account finds who a process on a Unix socket is.
func (a *Authority) account(w *world, c *Credentials) (who Client, ok bool) {
	if !c.HasUsername && (c.UID == 0 || c.UID == os.Getuid()) {
		return Client{who: a.operator}, true
	}
	u, err := user.LookupId(strconv.Itoa(c.UID))
	if err != nil || !isUser(u.Username) || c.HasUsername && c.Username != u.Username {
		return Client{}, false
	}
	s := w.all[u.Username]
	return Client{who: s}, s != nil
}

// ByPassword tells whose the user name and the password are, and waits as Login does. The client has no identifier, so
// that rights with {client_id} are none of its rights.
func (a *Authority) ByPassword(ctx context.Context, c Credentials) (Client, error) {
	return a.byPassword(ctx, a.world.Load(), &c)
}

// byPassword holds a password against the user's. One that is known to be right costs little and waits for nobody; else
// the login waits for its turn among those of its address, and for its turn among those of all addresses: one hash at a
// time is computed, so that memory stays bounded.
func (a *Authority) byPassword(ctx context.Context, w *world, c *Credentials) (Client, error) {
	who := Client{}
	if isUser(c.Username) {
		who.who = w.all[c.Username]
	}
	if r := who.rights(); r != nil && c.HasPassword {
		who.secret = r.secret
	}
	p, ok := a.brake.enter(c.place())
	if !ok {
		return Client{}, ErrCrowded
	}
	defer a.brake.leave(p)
	d := a.digest(c.Password)
	if who.secret != nil && who.secret.knows(d) {
		return who, nil
	}
	if err := p.wait(ctx); err != nil {
		return Client{}, err
	}
	defer p.done()
	if who.secret != nil && who.secret.knows(d) { // who came before has proved it
		return who, nil
	}
	if err := a.brake.pause(ctx, p); err != nil {
		return Client{}, err
	}
	select {
	case a.hashing <- struct{}{}:
	case <-ctx.Done():
		return Client{}, ctx.Err()
	}
	defer func() { <-a.hashing }()
	if who.secret != nil && who.secret.verify(c.Password, d) {
		return who, nil
	}
	fail(who.secret, w.decoy, c.Password)
	a.brake.failed(p)
	return Client{}, ErrCredentials
}

// newClientID is a client identifier that the client may use, "" if its rights name none that is open.
func (c Client) newClientID() string {
	r := c.rights()
	if r == nil {
		return ""
	}
	for _, p := range r.ids {
		if head, open := strings.CutSuffix(p, "*"); open && !strings.HasPrefix(head, ownPrefix) {
			var id [12]byte
			rand.Read(id[:]) //nolint:errcheck // never fails
			if head == "" {
				head = "auto-"
			}
			return head + hex.EncodeToString(id[:])
		}
	}
	return ""
}
