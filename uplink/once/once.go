// SPDX-License-Identifier: Apache-2.0

// Package once remembers on disk which commands were handed on, so that one which is delivered again after a crash is not
// executed again.
//
// A command is begun before it is handed on and done once whoever it was handed to has it for certain. One that was begun
// and not done when the process died is handed on again under the same packet identifier, by which the receiver knows
// whether it has it (QoS 2).
package once

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const (
	most   = 1000 // commands that are remembered; the oldest that is done is forgotten first
	record = 24   // bytes on disk
	// unreleased is how many commands a process may have been about to release when it died, with room to spare.
	unreleased = 200
	// rewrite is how many records the file may have before it is written anew: a command is two of them.
	rewrite = 6 * most
)

// The packet identifiers that commands get, so that those of other messages are free of them.
const (
	FirstID = 0x8000
	LastID  = 0xefff
)

// Key is what tells one command from another.
type Key [16]byte

// State is how far a command has come.
type State byte

// The states of a command.
const (
	Unknown State = iota // never seen, or forgotten
	Begun                // perhaps handed on
	Done                 // handed on for certain
)

// command is one that is remembered.
type command struct {
	key   Key
	id    uint16
	state State
}

// Book remembers commands.
type Book struct {
	mu      sync.Mutex
	path    string // "": nothing is kept
	file    *os.File
	records int // in the file
	byKey   map[Key]*command
	order   []*command // oldest first
	lastID  uint16
	sync    func(*os.File) error
	old     []uint16 // see Finished
}

// Open reads a book, or begins one. What of the file cannot be read is left out. An empty path is a book that forgets
// everything when the process ends.
func Open(path string) (*Book, error) {
	b := &Book{path: path, byKey: map[Key]*command{}, lastID: LastID, sync: (*os.File).Sync}
	if path == "" {
		return b, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return b, fmt.Errorf("read which commands were executed: %w", err)
	}
	b.read(raw)
	for _, c := range b.order[max(0, len(b.order)-unreleased):] {
		if c.state == Done {
			b.old = append(b.old, c.id)
		}
	}
	return b, nil
}

// read takes what is whole of a file.
func (b *Book) read(raw []byte) {
	for ; len(raw) >= record; raw = raw[record:] {
		if c, ok := decode(raw[:record]); ok {
			b.note(c)
		}
	}
}

// note remembers a command, or its next state.
func (b *Book) note(c command) {
	b.lastID = c.id
	if known := b.byKey[c.key]; known != nil {
		known.id, known.state = c.id, c.state
		return
	}
	if len(b.order) >= most {
		// One that is only begun stays: the receiver holds its identifier until it hears of it.
		if i := slices.IndexFunc(b.order, func(c *command) bool { return c.state == Done }); i >= 0 {
			delete(b.byKey, b.order[i].key)
			b.order = slices.Delete(b.order, i, i+1)
		}
	}
	b.byKey[c.key] = &c
	b.order = append(b.order, &c)
}

// State tells how far a command has come.
func (b *Book) State(key Key) State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.byKey[key]; c != nil {
		return c.state
	}
	return Unknown
}

// Begin notes, on disk before it returns, that a command is about to be handed on, and returns the packet identifier for
// that; again says that it may have been handed on under it before. An error says that the disk does not know of it: then
// only this process does.
func (b *Book) Begin(key Key) (id uint16, again bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.byKey[key]; c != nil {
		return c.id, true, nil
	}
	c := command{key: key, id: b.freeID(), state: Begun}
	b.note(c)
	return c.id, false, b.write(c)
}

// Done notes, on disk before it returns, that a command was handed on for certain.
func (b *Book) Done(key Key) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.byKey[key]
	if c == nil || c.state == Done {
		return nil
	}
	c.state = Done
	return b.write(*c)
}

// Finished returns, the first time, the packet identifiers of commands that an earlier process had done and of which the
// receiver may not have heard that it can forget them.
func (b *Book) Finished() []uint16 {
	b.mu.Lock()
	defer b.mu.Unlock()
	ids := b.old
	b.old = nil
	return ids
}

// freeID returns the next identifier that no command has which may still be held by the receiver.
func (b *Book) freeID() uint16 {
	id := b.lastID
	for {
		if id++; id > LastID || id < FirstID {
			id = FirstID
		}
		if !slices.ContainsFunc(b.order, func(c *command) bool { return c.state == Begun && c.id == id }) {
			return id
		}
	}
}

// write adds a record to the file, or writes the file anew if it is long or something failed before.
func (b *Book) write(c command) (err error) {
	if b.path == "" {
		return nil
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("note a command: %w", err), b.close())
		}
	}()
	if b.file == nil || b.records >= rewrite {
		return b.renew()
	}
	if _, err := b.file.Write(encode(nil, c)); err != nil {
		return err
	}
	b.records++
	return b.sync(b.file)
}

// renew writes the file anew, with all that is remembered.
func (b *Book) renew() error {
	if err := b.close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(b.path), 0o700); err != nil {
		return err
	}
	var all []byte
	for _, c := range b.order {
		all = encode(all, *c)
	}
	next := b.path + ".next"
	f, err := os.OpenFile(next, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	b.file, b.records = f, len(b.order)
	if _, err := f.Write(all); err != nil {
		return err
	}
	if err := b.sync(f); err != nil {
		return err
	}
	if err := os.Rename(next, b.path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(b.path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close gives the file back. What was noted stays.
func (b *Book) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.close()
}

func (b *Book) close() error {
	if b.file == nil {
		return nil
	}
	f := b.file
	b.file = nil
	return f.Close()
}

// A record is, big endian:
//
//	state 1 | 0 | id 2 | key 16 | CRC-32C of these 4
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func encode(b []byte, c command) []byte {
	n := len(b)
	b = append(b, byte(c.state), 0)
	b = binary.BigEndian.AppendUint16(b, c.id)
	b = append(b, c.key[:]...)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b[n:], castagnoli))
}

func decode(b []byte) (command, bool) {
	c := command{state: State(b[0]), id: binary.BigEndian.Uint16(b[2:]), key: Key(b[4:20])}
	ok := binary.BigEndian.Uint32(b[20:]) == crc32.Checksum(b[:20], castagnoli) &&
		(c.state == Begun || c.state == Done) && c.id >= FirstID && c.id <= LastID
	return c, ok
}
