// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxSecret is more than any password or token has, in bytes.
const maxSecret = 64 << 10

// Secret refers to a secret by "file:PATH", "env:NAME" or "cred:NAME" (a credential of systemd), or is the hash of a
// password. It never prints, in no form of formatting, encoding or logging.
type Secret struct {
	ref *string // a pointer, since fmt calls no method of what stands in an unexported field
}

// reference tells whether s refers to a secret rather than being one.
func reference(s string) bool {
	scheme, rest, ok := strings.Cut(s, ":")
	return ok && rest != "" && (scheme == "file" || scheme == "env" || scheme == "cred")
}

// NewSecret checks the form of a reference, not what it refers to.
func NewSecret(ref string) (Secret, error) {
	scheme, name, _ := strings.Cut(ref, ":")
	switch {
	case !reference(ref):
		return Secret{}, errors.New("a secret must not stand in the configuration")
	case scheme == "file" && !filepath.IsAbs(name):
		return Secret{}, fmt.Errorf("the path %q is not absolute", name)
	case scheme == "cred" && (strings.Contains(name, "/") || name == ".."):
		return Secret{}, fmt.Errorf("a credential's name holds no %q", "/")
	}
	return Secret{&ref}, nil
}

// HashedPassword makes a Secret of the hash of a password, which may stand in the configuration.
func HashedPassword(hash string) (Secret, error) {
	if !isHash(hash) {
		return Secret{}, errors.New("not the hash of a password that edged knows")
	}
	return Secret{&hash}, nil
}

// isHash tells whether s looks like a hash: that of argon2id, and those of mosquitto's password files.
func isHash(s string) bool {
	return slices.ContainsFunc([]string{"$argon2id$", "$7$", "$6$"}, func(mark string) bool { return strings.HasPrefix(s, mark) })
}

func (s Secret) isHash() bool { return s.ref != nil && isHash(*s.ref) }

// Read returns the secret as it is now, without the newline at its end. The error says what to do and never holds it.
func (s Secret) Read() ([]byte, error) {
	if s.isHash() {
		return []byte(*s.ref), nil
	}
	scheme, name, _ := strings.Cut(s.reference(), ":")
	switch scheme {
	case "file":
		return readSecret(name, true)
	case "env":
		v, ok := os.LookupEnv(name)
		if !ok {
			return nil, fmt.Errorf("the environment variable %s is not set", name)
		}
		return trimmed([]byte(v), "the environment variable "+name)
	case "cred":
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, fmt.Errorf("$CREDENTIALS_DIRECTORY is not set, so there is no credential %s: systemd gives it to the service only, by LoadCredential=%s:PATH in its unit", name, name)
		}
		return readSecret(filepath.Join(dir, name), false)
	}
	return nil, errors.New("no secret is configured")
}

// reference is where the secret comes from, without what it is.
func (s Secret) reference() string {
	switch {
	case s.ref == nil:
		return ""
	case s.isHash():
		return "hash"
	}
	return *s.ref
}

// readSecret reads a file; private wants it closed to every other user.
func readSecret(path string, private bool) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file %s", path)
	case err != nil:
		return nil, fmt.Errorf("look at the secret: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	case private && info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("every user of this machine may use %s (mode %04o): chmod o= %s", path, info.Mode().Perm(), path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	return trimmed(b, path)
}

func trimmed(b []byte, from string) ([]byte, error) {
	if len(b) > maxSecret {
		return nil, fmt.Errorf("%s holds more than %d KiB", from, maxSecret>>10)
	}
	b = bytes.TrimSuffix(bytes.TrimSuffix(b, []byte("\n")), []byte("\r"))
	if len(b) == 0 {
		return nil, fmt.Errorf("%s is empty", from)
	}
	return b, nil
}

const hidden = "***"

// String returns "***".
func (Secret) String() string { return hidden }

// GoString returns "***".
func (Secret) GoString() string { return hidden }

// Format writes "***" for every verb.
func (Secret) Format(f fmt.State, _ rune) { io.WriteString(f, hidden) }

// MarshalText returns "***".
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// LogValue returns "***".
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }
