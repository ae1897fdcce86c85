// SPDX-License-Identifier: Apache-2.0

package uplink

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"time"
)

// evidenceEvery is how often it is looked at between two tries.
const evidenceEvery = time.Second

// evidence is a sum of what shows who we are and whom we trust: the secrets and the files. No sum is there, and ok is
// false, while some of it cannot be read, as in the middle of a renewal.
type evidence struct {
	sum [sha256.Size]byte
	ok  bool
}

// evidence is read anew each time.
func (u *Uplink) evidence() evidence {
	h := sha256.New()
	add := func(b []byte, err error) bool {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
		return err == nil
	}
	ok := u.cfg.Password == nil || add(u.cfg.Password())
	ok = ok && (u.cfg.ProxySecret == nil || add(u.cfg.ProxySecret()))
	for _, file := range []string{u.cfg.CA, u.cfg.Cert, u.cfg.Key} {
		ok = ok && (file == "" || add(os.ReadFile(file)))
	}
	return evidence{sum: [sha256.Size]byte(h.Sum(nil)), ok: ok}
}

// renewed says whether b is something else than a, so that a server which turned a down may let b in.
func (a evidence) renewed(b evidence) bool { return b.ok && b != a }
