// SPDX-License-Identifier: Apache-2.0

package once

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func TestTheBookStaysSmall(t *testing.T) {
	key := func(n int) (k Key) {
		binary.BigEndian.PutUint64(k[:], uint64(n)+1)
		return k
	}
	open := func(path string) *Book {
		b, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		b.sync = func(*os.File) error { return nil } // ten thousand of them take half a minute
		return b
	}
	path := filepath.Join(t.TempDir(), "commands")
	b := open(path)
	const n = 5000
	held, _, err := b.Begin(key(n))
	for k := range n {
		id, _, began := b.Begin(key(k))
		if id == held {
			t.Fatalf("command %d got the identifier of one that is held", k)
		}
		if done := b.Done(key(k)); err != nil || began != nil || done != nil {
			t.Fatal(err, began, done)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Size() > 256<<10 {
		t.Errorf("the file has %d bytes, %v", st.Size(), err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b = open(path)
	if b.State(key(n)) != Begun || b.State(key(n-1)) != Done || b.State(key(n-900)) != Done || b.State(key(n-1100)) != Unknown {
		t.Error("not the newest thousand are remembered")
	}
}
