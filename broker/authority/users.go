// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"maps"
	"slices"
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

// Read makes a table of the configuration.
func Read(users map[string]User, anonymous bool) (*Table, error) {
	t := &Table{users: map[string]*rights{}, anonymous: anonymous}
	for name, u := range users {
		t.users[name] = &rights{ids: u.clientIDs(name), publish: rightsOf(name, u.Publish), subscribe: rightsOf(name, u.Subscribe)}
	}
	return t, nil
}

// Apply puts a table into force, at once and for all clients. Who has been left out has no rights any more.
func (a *Authority) Apply(t *Table) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.guest.rights.Store(nil)
	if t.anonymous {
		a.guest.rights.Store(&rights{anything: true, ids: []string{"*"}})
	}
	old := *a.table.Load()
	table := maps.Clone(old)
	for name, s := range old {
		if isUser(name) && t.users[name] == nil {
			s.rights.Store(nil)
			delete(table, name)
		}
	}
	for name, r := range t.users {
		if s := table[name]; s != nil {
			s.rights.Store(r)
		} else {
			table[name] = newSomebody(name, r)
		}
	}
	a.table.Store(&table)
}

// isUser tells whether a name is one that the configuration gives.
func isUser(name string) bool { return name != "" && name[0] != '$' && name[:1] != insideMark }
