// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func keepIn(t *testing.T, dir string) *kept {
	t.Helper()
	s, err := OpenKeep(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s.device("meter")
}

func load(t *testing.T, k *kept) string {
	t.Helper()
	p, err := k.Load()
	if err != nil {
		t.Fatal(err)
	}
	return string(p)
}

// TestWhatIsKeptSurvivesWithoutAnEnd saves and is never closed, as after kill -9.
func TestWhatIsKeptSurvivesWithoutAnEnd(t *testing.T) {
	dir := t.TempDir()
	if got := load(t, keepIn(t, dir)); got != "" {
		t.Fatalf("a device of which nothing is known kept %q", got)
	}
	for life := range 3 {
		k := keepIn(t, dir)
		load(t, k)
		for i := range 5 {
			if err := k.Save(fmt.Appendf(nil, "life %d \"total\" %d", life, i)); err != nil {
				t.Fatal(err)
			}
			if got, want := load(t, keepIn(t, dir)), fmt.Sprintf("life %d \"total\" %d", life, i); got != want {
				t.Fatalf("kept %q, want %q", got, want)
			}
		}
		k.syncing.Wait() // the rest of the process, for the test's own order
	}
}

// TestTornSlotLeavesTheOther damages the newest slot at each of its bytes.
func TestTornSlotLeavesTheOther(t *testing.T) {
	dir := t.TempDir()
	k := keepIn(t, dir)
	for _, s := range []string{"1", "2"} {
		if err := k.Save([]byte(s)); err != nil {
			t.Fatal(err)
		}
	}
	if err := k.Close(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "meter.keep")
	whole, err := os.ReadFile(name)
	if err != nil || len(whole) != 2*slotSize {
		t.Fatalf("%d bytes, %v", len(whole), err)
	}
	end := bytes.IndexByte(whole, '\n')
	for i := range end {
		torn := bytes.Clone(whole)
		torn[i] ^= 0x20
		if err := os.WriteFile(name, torn, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := load(t, keepIn(t, dir)); got != "1" {
			t.Fatalf("with byte %d of the newest slot damaged it is %q, want the one before", i, got)
		}
	}
	if err := os.WriteFile(name, bytes.Repeat([]byte("x"), 2*slotSize), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := keepIn(t, dir).Load(); err == nil {
		t.Errorf("a file of rubbish gives %q", p)
	}
	if _, err := os.Stat(name + ".damaged"); err != nil {
		t.Errorf("it is not set aside: %v", err)
	}
	if got := load(t, keepIn(t, dir)); got != "" {
		t.Errorf("then %q", got)
	}
}

func TestOnlyLittleIsKept(t *testing.T) {
	k := keepIn(t, t.TempDir())
	for _, p := range []string{strings.Repeat("x", 400), "a\nb"} {
		if err := k.Save([]byte(p)); err == nil {
			t.Errorf("%d bytes are kept", len(p))
		}
	}
	if err := (&kept{}).Save([]byte("x")); err != nil {
		t.Error(err)
	}
}

func FuzzKeptSlots(f *testing.F) {
	f.Add([]byte("edged keep 7 \"1\" crc 00000000\n"), []byte("total 5"))
	f.Fuzz(func(t *testing.T, slot, value []byte) {
		if gen, p, ok := decodeKept(slot); ok && !bytes.HasPrefix(encodeKept(gen, p), slot[:bytes.IndexByte(slot, '\n')]) {
			t.Errorf("% x is read as %d %q, which is written otherwise", slot, gen, p)
		}
		if len(value) > 100 {
			return
		}
		if gen, p, ok := decodeKept(encodeKept(3, value)); !ok || gen != 3 || !bytes.Equal(p, value) {
			t.Errorf("%q comes back as %q, %v", value, p, ok)
		}
	})
}
