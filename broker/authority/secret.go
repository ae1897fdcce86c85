// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// remember is how long after its last use a password that a hash has confirmed is known again without the hash, so that
// many clients that come back at once cost little. It is known by a digest under a key that this process alone has.
const remember = 24 * time.Hour

type digest [sha256.Size]byte

// digest makes of a password or a hash what is compared in its place: always in the same time.
func (a *Authority) digest(parts ...[]byte) (d digest) {
	h := hmac.New(sha256.New, a.key[:])
	for _, p := range parts {
		h.Write(p) //nolint:errcheck // never fails
	}
	h.Sum(d[:0])
	return d
}

// secret is what a user's password is held against. Two tables share it where what is stored is the same, so that who has
// come in by it stays.
type secret struct {
	stored digest // of the text that is stored
	hash   *hash  // nil: the stored text is the password
	known  atomic.Pointer[known]
}

// known is a password that has proved right.
type known struct {
	digest digest
	until  time.Time
}

// readSecret reads a user's password; former is the one that it had, if any.
func (a *Authority) readSecret(user User, former *secret) (*secret, error) {
	text, err := user.Password()
	if err != nil {
		return nil, err
	}
	text = bytes.TrimRight(text, "\r\n")
	if len(text) == 0 {
		return nil, errors.New("the password is empty")
	}
	s := &secret{stored: a.digest(text)}
	if former != nil && former.stored == s.stored {
		return former, nil
	}
	if IsHash(string(text)) {
		if s.hash, err = parseHash(string(text)); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// knows tells whether a password, by its digest, is right, as far as that can be told at once.
func (s *secret) knows(d digest) bool {
	if s.hash == nil {
		return hmac.Equal(d[:], s.stored[:])
	}
	k, now := s.known.Load(), time.Now()
	if k == nil || now.After(k.until) || !hmac.Equal(d[:], k.digest[:]) {
		return false
	}
	s.known.Store(&known{d, now.Add(remember)})
	return true
}

// verify tells whether a password is right, whatever that costs.
func (s *secret) verify(password []byte, d digest) bool {
	if s.hash == nil || !s.hash.verify(password) {
		return s.knows(d)
	}
	s.known.Store(&known{d, time.Now().Add(remember)})
	return true
}

// decoy is a hash that nothing matches and that takes as long as the costliest of the users' hashes.
func decoy(users map[string]*rights) *hash {
	var most *hash
	for _, r := range users {
		if s := r.secret; s != nil && s.hash != nil && (most == nil || s.hash.cost > most.cost) {
			most = s.hash
		}
	}
	if most == nil {
		return nil
	}
	x := *most
	x.sum = make([]byte, len(most.sum))
	return &x
}

// fail takes as long as a wrong password may take: who waits for the answer must not learn which names there are.
func fail(s *secret, decoy *hash, password []byte) {
	if decoy != nil && (s == nil || s.hash == nil || s.hash.cost < decoy.cost) {
		decoy.verify(password)
	}
}

// readProblem says whose password it is.
func readProblem(name string, err error) error {
	return fmt.Errorf("the password of [broker.user.%s]: %w", name, err)
}
