// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Of "password", from the tests of the reference implementation (phc-winner-argon2, src/test.c), and of "secret", by
// mosquitto_passwd 2.0.11.
const (
	argonOfPassword = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	pbkdf2OfSecret  = "$7$101$eorNuWo2spB0m28j$vptq06B+8Y6Y/a8zaP6RFTlPgNHbTzAeBQgr5PLZZpPK7y7qGocHrANzXzpWaj1+tT8kYDnfT+EHo1WS6yU6xA=="
)

func TestHashes(t *testing.T) {
	t.Parallel()
	for text, password := range map[string]string{
		argonOfPassword: "password", pbkdf2OfSecret: "secret", HashPassword([]byte("other")): "other",
	} {
		h, err := parseHash(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !h.verify([]byte(password)) {
			t.Errorf("%s: the right password is refused", text)
		}
		for _, wrong := range []string{"", password + " ", password[1:], "Password", "Secret"} {
			if h.verify([]byte(wrong)) {
				t.Errorf("%s: %q is taken", text, wrong)
			}
		}
	}
	if first := HashPassword([]byte("x")); first == HashPassword([]byte("x")) {
		t.Error("two hashes are equal: there is no salt")
	}
}

// What mosquitto_passwd wrote is verified, of each kind that it knows.
func TestPasswordFileOfMosquitto(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "passwd")
	for _, args := range [][]string{
		{"-c", "-b", file, "alice", "wonder land"},
		{"-H", "sha512", "-b", file, "bob", "ünïcode"},
		{"-H", "sha512-pbkdf2", "-b", file, "carol", "$7$"},
	} {
		if out, err := exec.CommandContext(t.Context(), "mosquitto_passwd", args...).CombinedOutput(); err != nil {
			t.Fatalf("mosquitto_passwd %q: %v: %s", args, err, out)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	passwords := map[string]string{"alice": "wonder land", "bob": "ünïcode", "carol": "$7$"}
	for line := range strings.Lines(string(text)) {
		name, stored, _ := strings.Cut(strings.TrimSpace(line), ":")
		h, err := parseHash(stored)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		if !h.verify([]byte(passwords[name])) || h.verify([]byte(passwords[name]+"x")) {
			t.Errorf("%s: verified wrongly", line)
		}
		delete(passwords, name)
	}
	if len(passwords) != 0 {
		t.Errorf("not in the file: %v", passwords)
	}
}

func TestHashIsRefused(t *testing.T) {
	t.Parallel()
	const salt, sum = "c29tZXNhbHRzb21lc2FsdA", "4aeCaWcpFzQcZSQoqb8bXXPfKzDa9qWeEoJnYeXmlbc"
	tail := "$" + salt + "$" + sum
	for _, text := range []string{
		"", "$", "secret", "$argon2id$", "$argon2i$v=19$m=64,t=2,p=1" + tail, "$argon2id$v=16$m=64,t=2,p=1" + tail,
		"$argon2id$v=19$m=65537,t=2,p=1" + tail, "$argon2id$v=19$m=64,t=11,p=1" + tail, "$argon2id$v=19$m=64,t=2,p=5" + tail,
		"$argon2id$v=19$m=0,t=2,p=1" + tail, "$argon2id$v=19$m=64,t=0,p=1" + tail, "$argon2id$v=19$m=64,t=2,p=0" + tail,
		"$argon2id$v=19$m=-1,t=2,p=1" + tail, "$argon2id$v=19$m=064,t=2,p=1" + tail, "$argon2id$v=19$t=2,m=64,p=1" + tail,
		"$argon2id$v=19$m=99999999999999999999,t=2,p=1" + tail, "$argon2id$v=19$m=64,t=2" + tail,
		"$argon2id$v=19$m=64,t=2,p=1$$" + sum, "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$", "$argon2id$v=19$m=64,t=2,p=1$" + salt + "$AAAA",
		"$argon2id$v=19$m=64,t=2,p=1$" + salt + "==$" + sum, "$argon2id$v=19$m=64,t=2,p=1" + tail + "$x",
		"$argon2id$v=19$m=64,t=2,p=1$" + salt + "\n$" + sum,
		"$argon2id$v=19$m=64,t=2,p=1$" + strings.Repeat("A", 100) + "$" + sum,
		strings.Replace(pbkdf2OfSecret, "101", "1000001", 1), strings.Replace(pbkdf2OfSecret, "101", "0", 1),
		strings.Replace(pbkdf2OfSecret, "101", "", 1), strings.TrimSuffix(pbkdf2OfSecret, "=="), pbkdf2OfSecret[:80],
		"$6$" + pbkdf2OfSecret[7:60], "$5$a$b", "alice:" + pbkdf2OfSecret,
	} {
		if err := CheckHash(text); err == nil {
			t.Errorf("%q is taken", text)
		} else if len(err.Error()) > 250 {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := CheckHash(argonOfPassword); err != nil {
		t.Errorf("%s: %v", argonOfPassword, err)
	}
}

// Verifications that follow each other take the memory of one.
func TestMemoryOfVerification(t *testing.T) {
	h, err := parseHash(HashPassword([]byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	h.verify([]byte("x"))
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before, total := m.HeapSys, m.TotalAlloc
	for range 10 {
		h.verify([]byte("x"))
	}
	runtime.ReadMemStats(&m)
	if n := (m.TotalAlloc - total) / 10; n > 13<<20 {
		t.Errorf("a verification takes %d bytes, want 12 MiB and a little", n)
	}
	if n := int64(m.HeapSys) - int64(before); n > 4<<20 {
		t.Errorf("the heap has grown by %d bytes", n)
	}
}

// FuzzHash: no text makes the parser panic or lets it take a hash that asks for more than is allowed.
func FuzzHash(f *testing.F) {
	for _, text := range []string{
		argonOfPassword, pbkdf2OfSecret, "$6$3MoSUM8xWVtAiQMO$7wHbIMg4Lpsp/KXw79Bdg8glzdIisZUkKMJx8zsZLIs0NbUONkS0YzNV5mEBSz+Zfuphk2f09cYh+Dy/wVB9bQ==",
		"$argon2id$v=19$m=65536,t=10,p=4$$", "$7$1$$", "$6$$", "$$$$$", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if !IsHash(text) {
			t.Fatalf("%q is a hash and would be taken for a password", text)
		}
		if h.memory > 64<<10 || h.passes > 10 || h.lanes > 4 || h.rounds > 1_000_000 || len(h.salt) > 64 || len(h.sum) > 64 || len(h.sum) < 16 {
			t.Fatalf("%q: %+v", text, h)
		}
		if h.cost < 1000 && h.verify([]byte(text)) {
			t.Fatalf("%q is its own password", text)
		}
	})
}
