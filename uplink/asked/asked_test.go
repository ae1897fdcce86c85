// SPDX-License-Identifier: Apache-2.0

package asked_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"edged/uplink/asked"
)

func open(t *testing.T, path string) *asked.Book {
	t.Helper()
	b, err := asked.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func note(t *testing.T, b *asked.Book, name string, filters ...string) {
	t.Helper()
	if err := b.Note(name, filters); err != nil {
		t.Fatal(err)
	}
}

func beyond(t *testing.T, b *asked.Book, has []string, want ...string) {
	t.Helper()
	if got := b.Beyond(has); !slices.Equal(got, want) {
		t.Errorf("beyond %q there is %q, want %q", has, got, want)
	}
}

func TestABookIsRememberedOverRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state", "subscriptions")
	b := open(t, path)
	beyond(t, b, nil)
	note(t, b, "one", "b", "a")
	note(t, b, "two", "c", "a")
	b = open(t, path)
	beyond(t, b, []string{"a"}, "b", "c")
	note(t, b, "one", "a")
	beyond(t, open(t, path), []string{"a"}, "c")
	note(t, b, "two")
	beyond(t, open(t, path), []string{"a"})
}

// What stays the same costs no write.
func TestTheSameIsNotWrittenAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "subscriptions")
	b := open(t, path)
	note(t, b, "one", "a", "b")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	note(t, b, "one", "b", "a")
	if _, err := os.Stat(path); err == nil {
		t.Error("the same was written again")
	}
}

func TestABookIsBounded(t *testing.T) {
	b := open(t, "")
	for i := range 20 {
		note(t, b, fmt.Sprint("session", i), fmt.Sprintf("f%02d", i))
	}
	if got := b.Beyond(nil); len(got) != 16 || got[0] != "f04" {
		t.Errorf("%q are remembered, want the last 16", got)
	}
}

func FuzzBook(f *testing.F) {
	f.Add([]byte(`[{"session":"one","filters":["a","b"]}]`))
	f.Add([]byte(`[{"session":"one"},{"filters":[""]},null]`))
	f.Add([]byte("["))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "subscriptions")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := asked.Open(path)
		if err != nil && len(b.Beyond(nil)) > 0 {
			t.Errorf("a file that cannot be read knows %q", b.Beyond(nil))
		}
		note(t, b, "one", "a")
		if slices.Contains(b.Beyond([]string{"a"}), "a") {
			t.Error("a filter is beyond itself")
		}
	})
}
