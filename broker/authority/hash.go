// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What [HashPassword] asks for: of OWASP's equivalent choices for argon2id (Password Storage Cheat Sheet: 46 MiB × 1,
// 19 MiB × 2, 12 MiB × 3, 9 MiB × 4, 7 MiB × 5) the largest that a gateway with little memory can spare at any time.
const (
	argonMemory = 12 << 10 // KiB
	argonPasses = 3
)

// What a hash from a file may ask for at most, so that whoever writes it cannot take the gateway down: 64 MiB are enough
// for the 46 MiB of mosquitto 2.1, a million rounds of PBKDF2 take a second.
const (
	argonMemoryMax = 64 << 10 // KiB
	argonPassesMax = 10
	argonLanesMax  = 4
	roundsMax      = 1_000_000
	saltMax        = 64 // bytes
	sumMax         = 64 // bytes
)

// hash is a password's hash, as a password file or a configuration holds it.
type hash struct {
	kind      hashKind
	memory    uint32 // KiB; argon2id
	passes    uint32
	lanes     uint8
	rounds    int // PBKDF2
	salt, sum []byte
	cost      int // time that it takes, in microseconds or so
}

type hashKind byte

const (
	argon2id hashKind = iota
	pbkdf2SHA512
	plainSHA512
)

// IsHash tells whether a text is meant to be a hash, not a password.
func IsHash(text string) bool {
	return strings.HasPrefix(text, "$argon2id$") || strings.HasPrefix(text, "$7$") || strings.HasPrefix(text, "$6$")
}

// CheckHash tells what is wrong with a hash.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

// HashPassword returns a hash of a password for the configuration, by argon2id in PHC's form:
// $argon2id$v=19$m=12288,t=3,p=1$SALT$HASH. It takes 12 MiB for a moment.
func HashPassword(password []byte) string {
	var salt [16]byte
	rand.Read(salt[:]) //nolint:errcheck // never fails
	sum := argon2.IDKey(password, salt[:], argonPasses, argonMemory, 1, 32)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=1$%s$%s",
		argon2.Version, argonMemory, argonPasses, b64.EncodeToString(salt[:]), b64.EncodeToString(sum))
}

var errHash = errors.New("this is no password hash: use edged user passwd, or $argon2id$v=19$m=…,t=…,p=…$SALT$HASH, or a line of mosquitto's password file ($7$ or $6$) without its name")

// parseHash reads argon2id in PHC's form, and mosquitto's $7$ROUNDS$SALT$HASH (PBKDF2 with SHA-512) and $6$SALT$HASH
// (SHA-512 of the password and the salt).
func parseHash(text string) (*hash, error) {
	parts := strings.Split(text, "$")
	if len(parts) < 2 || parts[0] != "" || strings.ContainsAny(text, "\r\n") { // which base64 would overlook
		return nil, errHash
	}
	switch {
	case parts[1] == "argon2id" && len(parts) == 6:
		return parseArgon(parts[2], parts[3], parts[4], parts[5])
	case parts[1] == "7" && len(parts) == 5:
		rounds, ok := number(parts[2], roundsMax)
		if !ok {
			return nil, fmt.Errorf("the password hash asks for %.20q rounds: use 1 to %d", parts[2], roundsMax)
		}
		h := &hash{kind: pbkdf2SHA512, rounds: rounds, cost: rounds}
		return h.filled(base64.StdEncoding, parts[3], parts[4], sha512.Size)
	case parts[1] == "6" && len(parts) == 4:
		h := &hash{kind: plainSHA512}
		return h.filled(base64.StdEncoding, parts[2], parts[3], sha512.Size)
	}
	return nil, errHash
}

func parseArgon(version, params, salt, sum string) (*hash, error) {
	if version != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("the password hash is of argon2 %.20q: only v=%d is known", version, argon2.Version)
	}
	p := strings.Split(params, ",")
	if len(p) != 3 {
		return nil, errHash
	}
	var values [3]int
	for i, x := range []struct {
		key string
		max int
	}{{"m=", argonMemoryMax}, {"t=", argonPassesMax}, {"p=", argonLanesMax}} {
		text, named := strings.CutPrefix(p[i], x.key)
		n, ok := number(text, x.max)
		if !named || !ok {
			return nil, fmt.Errorf("the password hash has %.20q where %s1 to %s%d is taken", p[i], x.key, x.key, x.max)
		}
		values[i] = n
	}
	h := &hash{kind: argon2id, memory: uint32(values[0]), passes: uint32(values[1]), lanes: uint8(values[2])}
	h.cost = values[0] * values[1]
	return h.filled(base64.RawStdEncoding, salt, sum, 0)
}

// number reads a decimal number from 1 to limit, in the one way to write it.
func number(text string, limit int) (n int, ok bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && n >= 1 && n <= limit && strconv.Itoa(n) == text
}

// filled reads salt and sum; size is how long the sum is, 0 for any that is safe.
func (h *hash) filled(enc *base64.Encoding, salt, sum string, size int) (*hash, error) {
	var err error
	if h.salt, err = enc.Strict().DecodeString(salt); err != nil || len(h.salt) < 8 || len(h.salt) > saltMax {
		return nil, errHash
	}
	h.sum, err = enc.Strict().DecodeString(sum)
	if err != nil || len(h.sum) < 16 || len(h.sum) > sumMax || size > 0 && len(h.sum) != size {
		return nil, errHash
	}
	return h, nil
}

// verify tells whether the hash is that of the password. It takes the time and the memory that the hash asks for.
func (h *hash) verify(password []byte) bool {
	var sum []byte
	switch h.kind {
	case argon2id:
		sum = argon2.IDKey(password, h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum)))
		runtime.GC() // these are many MiB, and the next login may be here before the collector is
	case pbkdf2SHA512:
		var err error
		if sum, err = pbkdf2.Key(sha512.New, string(password), h.salt, h.rounds, len(h.sum)); err != nil {
			return false
		}
	default:
		x := sha512.New()
		x.Write(password) //nolint:errcheck // never fails
		x.Write(h.salt)   //nolint:errcheck // never fails
		sum = x.Sum(nil)
	}
	return subtle.ConstantTimeCompare(sum, h.sum) == 1
}
