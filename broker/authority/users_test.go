// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"strings"
	"testing"
)

// A password that cannot be read is an error that names the user, and not the password.
func TestReadProblems(t *testing.T) {
	t.Parallel()
	a := New()
	_, err := a.Read(map[string]User{
		"gone":  {Password: func() ([]byte, error) { return nil, errors.New("no such file") }},
		"empty": {Password: secretOf("\n")},
		"torn":  {Password: secretOf("$argon2id$v=19$hunter2")},
	}, false)
	for _, want := range []string{"user.gone]: no such file", "user.empty]: the password is empty", "user.torn]: this is no password hash"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\nlacks %q", err, want)
		}
	}
	if err != nil && strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	users := map[string]User{
		"good":     {Password: secretOf("p"), ClientIDs: []string{"a", "b-*", "*"}, Publish: []string{"a/{client_id}/#", "{user}"}, Subscribe: []string{"$SYS/#", "#", "+/a"}},
		"a@b.c_d-": {Cert: "CN=x"},
		"a/b":      {Password: secretOf("p")},
		"nobody":   {},
		"ids":      {Password: secretOf("p"), ClientIDs: []string{"", "a*b", "edged-x", "edged-*", "**"}},
		"filters":  {Password: secretOf("p"), Publish: []string{"a#", "$SYS/x", "$share/g/a", "x{user}", "a/{clientid}"}, Subscribe: []string{"", "$share/g/a", "{user}x/a"}},
		"same":     {Cert: "CN=x"},
		"subject":  {Cert: "O=x"},

		strings.Repeat("x", 65): {Password: secretOf("p")},
	}
	got := map[string]bool{}
	Validate(users, func(key, problem string) {
		got[key] = true
		if problem == "" {
			t.Errorf("%s: no problem is told", key)
		}
	})
	want := []string{
		"user.a/b", "user.nobody", "user.ids.client_ids[0]", "user.ids.client_ids[1]", "user.ids.client_ids[2]", "user.ids.client_ids[3]",
		"user.ids.client_ids[4]", "user.filters.publish[0]", "user.filters.publish[1]", "user.filters.publish[2]", "user.filters.publish[3]",
		"user.filters.publish[4]", "user.filters.subscribe[0]", "user.filters.subscribe[1]", "user.filters.subscribe[2]", "user.same.cert",
		"user.subject.cert", "user." + strings.Repeat("x", 65),
	}
	for _, key := range want {
		if !got[key] {
			t.Errorf("%s is taken", key)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("refused: %v", got)
	}
}
