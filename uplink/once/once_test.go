// SPDX-License-Identifier: Apache-2.0

package once_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"edged/uplink/once"
)

func key(n int) (k once.Key) {
	binary.BigEndian.PutUint64(k[:], uint64(n)+1)
	return k
}

func open(t *testing.T, path string) *once.Book {
	t.Helper()
	b, err := once.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func begin(t *testing.T, b *once.Book, k once.Key) (id uint16, again bool) {
	t.Helper()
	id, again, err := b.Begin(k)
	if err != nil {
		t.Fatal(err)
	}
	return id, again
}

func done(t *testing.T, b *once.Book, k once.Key) {
	t.Helper()
	if err := b.Done(k); err != nil {
		t.Fatal(err)
	}
}

func TestACommandIsRememberedOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "commands")
	b := open(t, path)
	first, again := begin(t, b, key(1))
	second, _ := begin(t, b, key(2))
	if again || first == second {
		t.Errorf("identifiers %d and %d, again %t", first, second, again)
	}
	done(t, b, key(1))

	b = open(t, path)
	for k, want := range []once.State{once.Unknown, once.Done, once.Begun} {
		if got := b.State(key(k)); got != want {
			t.Errorf("command %d is in state %d, want %d", k, got, want)
		}
	}
	if id, again := begin(t, b, key(2)); id != second || !again {
		t.Errorf("begun again: %d, %t, want %d", id, again, second)
	}
	if third, _ := begin(t, b, key(3)); third == second {
		t.Errorf("a command got the identifier %d of one that the receiver may hold", third)
	}
}

// Whatever was on its way to the disk at a power cut, what was noted before is there.
func TestAFileThatIsCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "commands")
	b := open(t, path)
	begin(t, b, key(0))
	done(t, b, key(0))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin(t, b, key(1))
	longer, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := len(whole); n <= len(longer); n++ {
		for _, damaged := range [][]byte{longer[:n], append(bytes.Clone(longer[:n]), make([]byte, len(longer)-n)...)} {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			b := open(t, path)
			if b.State(key(0)) != once.Done || b.State(key(1)) == once.Done {
				t.Fatalf("cut at %d: states %d, %d", n, b.State(key(0)), b.State(key(1)))
			}
			begin(t, b, key(2))
			if b := open(t, path); b.State(key(0)) != once.Done || b.State(key(2)) != once.Begun {
				t.Fatalf("cut at %d, and one more: states %d, %d", n, b.State(key(0)), b.State(key(2)))
			}
		}
	}
}

func TestADiskThatTakesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "no", "commands")
	b := open(t, path)
	if err := os.WriteFile(filepath.Join(dir, "no"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	id, _, err := b.Begin(key(1))
	if err == nil || id == 0 || b.State(key(1)) != once.Begun {
		t.Errorf("got %d, %v: want an error, and the command known to this process", id, err)
	}
	if err := os.Remove(filepath.Join(dir, "no")); err != nil {
		t.Fatal(err)
	}
	done(t, b, key(1))
	if b := open(t, path); b.State(key(1)) != once.Done {
		t.Error("once the disk takes something again, all is noted")
	}
}

func FuzzOpen(f *testing.F) {
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{1}, 48))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "commands")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, path)
		id, _ := begin(t, b, key(1))
		if id < once.FirstID || id > once.LastID {
			t.Fatalf("identifier %d", id)
		}
		done(t, b, key(1))
		if b := open(t, path); b.State(key(1)) != once.Done {
			t.Fatal("a command was forgotten")
		}
	})
}
