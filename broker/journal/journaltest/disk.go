// SPDX-License-Identifier: Apache-2.0

// Package journaltest has a disk in memory that fails on demand: at any call, in the ways real ones do.
package journaltest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"edged/broker/journal"
)

// ErrGone is what every call returns after the power was cut or the process killed.
var ErrGone = errors.New("the power is off")

// Op is a call that changes the disk.
type Op struct {
	N    int    // 1 for the first since the disk was made or SetFault was called
	Kind string // "create", "write", "datasync", "rename", "remove", "syncdir"; reads are "read" and "open", with N 0
	Name string
	Off  int64 // of a read or write
	Len  int
}

// Disk is one directory on a disk in memory. It tells what is durable from what is only in the cache: a write reaches
// the disk at Datasync, a name at Dir.Sync, and before that only if the cut of the power is kind.
type Disk struct {
	mu      sync.Mutex
	epoch   int // handles of earlier ones are dead
	held    bool
	names   map[string]*inode
	durable map[string]*inode
	changes []func(names map[string]*inode) // of names, since the last Sync
	calls   int
	fault   func(Op) error
	cutAt   int
	limit   int64
	frozen  bool
}

// New is an empty disk.
func New() *Disk {
	return &Disk{names: map[string]*inode{}, durable: map[string]*inode{}}
}

// SetFault makes fault decide, before each call, whether it fails. A write that fails has written its first half; a
// Datasync that fails has spoilt the pages that it was to write, on the disk and in the cache, and repeating it returns nil
// and helps nothing. Calls are counted from 1 again.
func (d *Disk) SetFault(fault func(Op) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault, d.calls = fault, 0
}

// CutAt cuts the power in the middle of the nth changing call from now on; 0 is never.
func (d *Disk) CutAt(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt, d.calls = n, 0
}

// Calls is how many changing calls there were since the disk was made, or SetFault or CutAt was called.
func (d *Disk) Calls() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// SetLimit bounds the bytes of all files; 0 is no bound.
func (d *Disk) SetLimit(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.limit = bytes
}

// SetReadOnly makes every changing call, and opening for one, fail with EROFS.
func (d *Disk) SetReadOnly(on bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frozen = on
}

// Kill ends the process that uses the disk: the cache stays.
func (d *Disk) Kill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch++
	d.held, d.cutAt, d.fault, d.calls = false, 0, nil, 0
}

// Survival says what a cut of the power does to what was not durable.
type Survival int

// Of what was not durable, everything is lost, everything is kept, or pages and sectors survive by chance and names in
// the order of their changes.
const (
	Lost Survival = iota
	Kept
	Torn
)

// String names it in messages.
func (s Survival) String() string { return [...]string{"lost", "kept", "torn"}[s] }

// Cut cuts the power, if CutAt has not done so already, and turns it on again.
func (d *Disk) Cut(s Survival, by *rand.Rand) {
	d.Kill()
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	switch s {
	case Kept:
		n = len(d.changes)
	case Torn:
		n = by.IntN(len(d.changes) + 1)
	}
	for _, change := range d.changes[:n] {
		change(d.durable)
	}
	d.names, d.changes = map[string]*inode{}, nil
	for _, name := range slices.Sorted(maps.Keys(d.durable)) {
		f := d.durable[name]
		f.crash(s, by)
		d.names[name] = f
	}
}

// Files gives the names of the files there are.
func (d *Disk) Files() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.list()
}

func (d *Disk) list() []string { return slices.Sorted(maps.Keys(d.names)) }

// Contents gives what is in a file.
func (d *Disk) Contents(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	b := make([]byte, f.size)
	f.read(b, 0)
	return b
}

// Edit changes a file's contents, as if the medium did it. change gets nil when there is no such file, and removes it by
// returning nil.
func (d *Disk) Edit(name string, change func(b []byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b []byte
	if f := d.names[name]; f != nil {
		b = make([]byte, f.size)
		f.read(b, 0)
	}
	f := &inode{}
	if b = change(b); b == nil {
		f = nil
	} else {
		f.write(b, 0)
		f.sync()
	}
	for _, names := range []map[string]*inode{d.names, d.durable} {
		delete(names, name)
		if f != nil {
			names[name] = f
		}
	}
}

// Damage overwrites a part of a file, as if the medium did it; who has the file open sees it.
func (d *Disk) Damage(name string, off int64, b []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	f.write(b, off)
	f.sync()
}

// OpenDir implements journal.FS.
func (d *Disk) OpenDir(string) (journal.Dir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held {
		return nil, errors.New("another process uses the disk")
	}
	d.held = true
	return &dir{d, d.epoch}, nil
}

// dir is an open directory.
type dir struct {
	d     *Disk
	epoch int
}

// outcome says how far a call gets.
type outcome int

const (
	fine    outcome = iota
	failed          // by the fault: half of it is done
	cut             // the power fails in the middle of it
	refused         // nothing is done
)

// enter begins a call; the caller leaves with d.mu.Unlock.
func (d *Disk) enter(epoch int, kind, name string) (outcome, error) {
	return d.enterAt(epoch, kind, name, nil, 0, 0)
}

// enterAt is enter for a call on the open file f, which may have been renamed since.
func (d *Disk) enterAt(epoch int, kind, name string, f *inode, off int64, n int) (outcome, error) {
	d.mu.Lock()
	if f != nil && f.name != "" {
		name = f.name
	}
	reads := kind == "read" || kind == "open"
	wrap := func(err error) error { return fmt.Errorf("%s %s: %w", kind, name, err) }
	if epoch != d.epoch || d.cutAt > 0 && d.calls >= d.cutAt {
		return refused, wrap(ErrGone)
	}
	op := Op{Kind: kind, Name: name, Off: off, Len: n}
	if !reads {
		if d.frozen && kind != "datasync" && kind != "syncdir" { // with nothing to write, these succeed
			return refused, wrap(unix.EROFS)
		}
		d.calls++
		op.N = d.calls
		if d.calls == d.cutAt {
			return cut, wrap(ErrGone)
		}
	}
	if d.fault != nil {
		if err := d.fault(op); err != nil {
			return failed, wrap(err)
		}
	}
	return fine, nil
}

func (x *dir) Names() ([]string, error) {
	_, err := x.d.enter(x.epoch, "read", "")
	defer x.d.mu.Unlock()
	return x.d.list(), err
}

func (x *dir) Open(name string, flag int) (journal.File, error) {
	kind := "open"
	if flag&os.O_CREATE != 0 {
		kind = "create"
	}
	how, err := x.d.enter(x.epoch, kind, name)
	defer x.d.mu.Unlock()
	if how == fine && x.d.frozen && flag&os.O_RDWR != 0 {
		return nil, fmt.Errorf("open %s: %w", name, unix.EROFS)
	}
	if how == failed || how == refused {
		return nil, err
	}
	f := x.d.names[name]
	switch {
	case f == nil && flag&os.O_CREATE == 0:
		return nil, fmt.Errorf("open %s: %w", name, fs.ErrNotExist)
	case f == nil:
		f = &inode{}
		x.d.change(func(names map[string]*inode) { names[name] = f })
	case flag&os.O_TRUNC != 0:
		f.truncate()
	}
	if err != nil {
		return nil, err
	}
	return &file{d: x.d, epoch: x.epoch, f: f, name: name, writable: flag&os.O_RDWR != 0}, nil
}

func (d *Disk) change(fn func(names map[string]*inode)) {
	fn(d.names)
	d.changes = append(d.changes, fn)
}

func (x *dir) Rename(from, to string) error {
	how, err := x.d.enter(x.epoch, "rename", from)
	defer x.d.mu.Unlock()
	if how == failed || how == refused {
		return err
	}
	f := x.d.names[from]
	if f == nil {
		return fmt.Errorf("rename %s: %w", from, fs.ErrNotExist)
	}
	f.name = to
	x.d.change(func(names map[string]*inode) {
		delete(names, from)
		names[to] = f
	})
	return err
}

func (x *dir) Remove(name string) error {
	how, err := x.d.enter(x.epoch, "remove", name)
	defer x.d.mu.Unlock()
	if how == failed || how == refused {
		return err
	}
	if x.d.names[name] == nil {
		return fmt.Errorf("remove %s: %w", name, fs.ErrNotExist)
	}
	x.d.change(func(names map[string]*inode) { delete(names, name) })
	return err
}

func (x *dir) Sync() error {
	how, err := x.d.enter(x.epoch, "syncdir", "")
	defer x.d.mu.Unlock()
	if how == fine && x.d.frozen && len(x.d.changes) > 0 {
		return unix.EROFS
	}
	if how == fine { // a cut leaves it open how much of it got there
		for _, change := range x.d.changes {
			change(x.d.durable)
		}
		x.d.changes = nil
	}
	return err
}

func (x *dir) Free() (int64, error) {
	_, err := x.d.enter(x.epoch, "read", "")
	defer x.d.mu.Unlock()
	if x.d.limit == 0 {
		return 1 << 40, err
	}
	return max(0, x.d.limit-x.d.used()), err
}

func (d *Disk) used() int64 {
	n := int64(0)
	for _, f := range d.names {
		n += f.size
	}
	return n
}

func (x *dir) Close() error {
	x.d.mu.Lock()
	defer x.d.mu.Unlock()
	if x.epoch == x.d.epoch {
		x.d.held = false
	}
	return nil
}
