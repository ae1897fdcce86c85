// SPDX-License-Identifier: Apache-2.0

package config

import "edged/broker"

func userFields(u *broker.User, password *Secret) []field {
	return []field{
		{"password", secret(password, true)},
		{"cert", text(&u.Cert)},
		{"client_ids", strs(&u.ClientIDs, false, value.anything)},
		{"publish", strs(&u.Publish, false, value.anything)},
		{"subscribe", strs(&u.Subscribe, false, value.anything)},
	}
}

// users reads [broker.user.NAME] for every name.
func (v value) users(to *map[string]broker.User, passwords map[string]Secret) {
	if !v.node.isTable() {
		v.wrong("a table", "write [broker.user.NAME] for each user")
		return
	}
	*to = map[string]broker.User{}
	for _, name := range v.node.names {
		kid := v.kid(name)
		if !kid.node.isTable() {
			kid.wrong("a table", "write [broker.user.NAME] for each user")
			continue
		}
		u := kid.user(name, passwords)
		if kid.id(name, kid.node.key, userLetters, maxUser, "A-Z, a-z, 0-9 and _ . @ -") {
			(*to)[name] = u
		}
	}
}

// user reads [broker.user.NAME].
func (v value) user(name string, passwords map[string]Secret) broker.User {
	var u broker.User
	var password Secret
	v.table("["+v.key+"]", userFields(&u, &password))
	key := join(v.key, "password")
	if !v.has("password") && !v.has("cert") && !v.told[key] {
		v.report(v.node, v.node.value, Missing, key, "nobody can log in without a password or a cert",
			"give it one: edged user passwd "+name)
	}
	if v.told[key] {
		v.told[v.key] = true // that nobody can log in says nothing new
	}
	if v.has("client_ids") && u.ClientIDs != nil && len(u.ClientIDs) == 0 {
		v.kid("client_ids").bad("is empty, so that no client can use it", "leave it out for the user's name and NAME-*")
	}
	if password != (Secret{}) {
		passwords[name] = password
		u.Password = password.Read
	}
	return u
}

// anything lets every string pass: the part that the key belongs to checks it.
func (value) anything(string) {}
