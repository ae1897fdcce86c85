// SPDX-License-Identifier: Apache-2.0

package config

// secret reads a reference to a secret, or, where hashes may be, the hash of a password, and tries whether there is a
// secret behind it.
func secret(to *Secret, hashes bool) func(value) {
	return func(v value) {
		s, ok := v.text()
		if !ok {
			return
		}
		hint := `write "file:/etc/edged/secrets/NAME", "env:NAME" or "cred:NAME"`
		if hashes {
			hint += ", or have the hash written by: edged user passwd NAME"
			if hash, err := HashedPassword(s); err == nil {
				*to = hash
				return
			}
		}
		ref, err := NewSecret(s)
		if err != nil {
			code := BadValue
			if !reference(s) {
				code = PlainSecret
			}
			v.report(v.node, v.node.value, code, v.key, err.Error(), hint)
			return
		}
		if _, err := ref.Read(); err != nil {
			v.report(v.node, v.node.value, NoSecret, v.key, err.Error(), "")
		}
		*to = ref
	}
}
