// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// User is somebody who may come in by a name, with a password, a certificate, or either of both.
type User struct {
	Password  func() ([]byte, error) // reads it anew: plain text, or a hash; nil: none
	Cert      string                 // the subject that its certificate bears, such as "CN=plc-7"; "": none
	ClientIDs []string               // that it may use, NAME or PREFIX*; nil: the user's name and NAME-*
	Publish   []string               // filters; "{client_id}" and "{user}" stand for whole levels
	Subscribe []string
}

// clientIDs are those that a user may use.
func (u *User) clientIDs(name string) []string {
	if u.ClientIDs != nil {
		return slices.Clone(u.ClientIDs)
	}
	return []string{name, name + "-*"}
}

// Table is who may come in from outside, ready to be applied.
type Table struct {
	users     map[string]*rights
	anonymous bool
}

// Read makes a table of users that are valid. It reads their passwords, from the disk too; the error says which cannot be
// read. A user whose password stays the same stays logged in.
func (a *Authority) Read(users map[string]User, anonymous bool) (*Table, error) {
	t := &Table{users: map[string]*rights{}, anonymous: anonymous}
	var err error
	for _, name := range slices.Sorted(maps.Keys(users)) {
		r, wrong := a.read(name, users[name])
		t.users[name], err = r, errors.Join(err, wrong)
	}
	return t, err
}

// read makes a user's rights. Where its password cannot be read it has none.
func (a *Authority) read(name string, u User) (r *rights, err error) {
	r = &rights{ids: u.clientIDs(name), publish: rightsOf(name, u.Publish), subscribe: rightsOf(name, u.Subscribe)}
	former := a.Client(name, "").rights()
	if former == nil {
		former = &rights{}
	}
	if u.Cert != "" {
		if r.subject, err = parseSubject(u.Cert); err != nil {
			return r, fmt.Errorf("the certificate of [broker.user.%s]: %w", name, err)
		}
		if former.subject != nil && former.subject.text == u.Cert {
			r.subject = former.subject
		}
	}
	if u.Password != nil {
		if r.secret, err = a.readSecret(u, former.secret); err != nil {
			return r, readProblem(name, err)
		}
	}
	return r, nil
}

// Apply puts a table into force, at once and for all clients. Who has been left out has no rights any more.
func (a *Authority) Apply(t *Table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.guest.rights.Store(nil)
	if t.anonymous {
		guest := &rights{anything: true, ids: []string{"*"}}
		for _, r := range t.users { // nobody without a name may sit on an identifier that a user needs
			guest.reserved = append(guest.reserved, r.ids...)
		}
		guest.reserved = slices.DeleteFunc(guest.reserved, func(p string) bool { return p == "*" })
		a.guest.rights.Store(guest)
	}
	old := a.world.Load().all
	w := &world{all: maps.Clone(old), users: len(t.users), decoy: decoy(t.users)}
	for name, s := range old {
		if isUser(name) && t.users[name] == nil {
			s.rights.Store(nil)
			delete(w.all, name)
		}
	}
	for name, r := range t.users {
		s := w.all[name]
		if s == nil {
			s = newSomebody(name, nil)
			w.all[name] = s
		}
		s.rights.Store(r)
		if r.subject != nil {
			w.bearers = append(w.bearers, s)
		}
	}
	a.world.Store(w)
}

// isUser tells whether a name is one that the configuration may give.
func isUser(name string) bool {
	if name == "" || len(name) > 64 {
		return false
	}
	for _, c := range []byte(name) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && strings.IndexByte("_.@-", c) < 0 {
			return false
		}
	}
	return true
}
