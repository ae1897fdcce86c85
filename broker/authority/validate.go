// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"edged/mqtt/wire"
)

// Validate reports what is wrong with users, under their keys below [broker].
func Validate(users map[string]User, report func(key, problem string)) {
	bearers := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		u := users[name]
		key := "user." + name
		if !isUser(name) {
			report(key, fmt.Sprintf("%q is no name for a user: use 1 to 64 of the letters A–Z and a–z, digits, _ . @ and -", name))
		}
		if u.Password == nil && u.Cert == "" {
			report(key, "nobody can come in as this user: give it a password or a cert")
		}
		if u.Cert != "" {
			if _, err := parseSubject(u.Cert); err != nil {
				report(key+".cert", err.Error())
			} else if other, taken := bearers[u.Cert]; taken {
				report(key+".cert", fmt.Sprintf("%q is that of the user %s already", u.Cert, other))
			}
			bearers[u.Cert] = name
		}
		for i, p := range u.ClientIDs {
			if problem := clientIDProblem(p); problem != "" {
				report(fmt.Sprintf("%s.client_ids[%d]", key, i), problem)
			}
		}
		for i, f := range u.Publish {
			if problem := filterProblem(f); problem != "" {
				report(fmt.Sprintf("%s.publish[%d]", key, i), problem)
			} else if f[0] == '$' {
				report(fmt.Sprintf("%s.publish[%d]", key, i), fmt.Sprintf("%q: topics that begin with $ are the broker's, nobody publishes there", f))
			}
		}
		for i, f := range u.Subscribe {
			if problem := filterProblem(f); problem != "" {
				report(fmt.Sprintf("%s.subscribe[%d]", key, i), problem)
			}
		}
	}
}

func clientIDProblem(p string) string {
	head := strings.TrimSuffix(p, "*")
	switch {
	case p == "" || !utf8.ValidString(p) || strings.ContainsFunc(p, isControl):
		return fmt.Sprintf("%q is no client identifier", p)
	case strings.Contains(head, "*"):
		return fmt.Sprintf("%q: * may stand at the end only", p)
	case strings.HasPrefix(head, ownPrefix):
		return fmt.Sprintf("%q: client identifiers that begin with %s are the gateway's own", p, ownPrefix)
	}
	return ""
}

// filterProblem says what is wrong with the filter of a right.
func filterProblem(f string) string {
	group, bare, ok := wire.ValidFilter(f)
	switch {
	case !ok:
		return fmt.Sprintf("%q is no topic filter: + and # fill a whole level, and # is the last", f)
	case group != "" || bare != f:
		return fmt.Sprintf("%q: write the filter without $share/GROUP/; it counts for shared subscriptions too", f)
	}
	for level := range strings.SplitSeq(f, "/") {
		if strings.ContainsAny(level, "{}") && level != forClientID && level != forUser {
			return fmt.Sprintf("%q: %q is no whole level: write %s or %s between slashes, with nothing beside it", f, level, forClientID, forUser)
		}
	}
	return ""
}
