// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// KeepStore keeps, in one small file for each device, what a sensor must not forget: the total of a counter. What is
// saved is in the kernel's hands at once, so that it survives kill -9, and on disk within keepEvery, so that a power cut
// costs no more than that, and a card is written no oftener.
//
// A file has two slots that are written in turn, in place: a write that was torn leaves the other slot.
type KeepStore struct {
	dir string
	log *slog.Logger
}

const (
	keepEvery = time.Minute
	keepLine  = 256 // bytes that may be kept
)

// OpenKeep makes the directory if need be. log hears of damaged files and of a disk that fails.
func OpenKeep(dir string, log *slog.Logger) (*KeepStore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the directory of kept values: %w", err)
	}
	return &KeepStore{dir: dir, log: log}, nil
}

// device gives what one device keeps.
func (k *KeepStore) device(name string) *kept {
	if k == nil {
		return &kept{}
	}
	return &kept{path: filepath.Join(k.dir, name+".keep"), log: k.log.With("device", name)}
}

// kept is what one device keeps. The zero value forgets it.
type kept struct {
	path string
	log  *slog.Logger

	mu      sync.Mutex
	f       *os.File
	gen     uint64
	synced  time.Time
	failed  bool
	syncing sync.WaitGroup
	busy    bool // a sync goes on
	dirty   bool // something was written since the last sync began
}

// Load gives what was saved last.
func (k *kept) Load() ([]byte, error) {
	if k.path == "" {
		return nil, nil
	}
	b, err := os.ReadFile(k.path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(b) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what was kept: %w", err)
	}
	var newest []byte
	for slot := range slots(b) {
		if gen, p, ok := decodeKept(slot); ok && gen > k.gen {
			k.gen, newest = gen, p
		}
	}
	if newest == nil {
		err := errors.Join(errors.New("what was kept is damaged, and is set aside"), os.Rename(k.path, k.path+".damaged"))
		k.log.Warn("the device begins anew", "err", err)
		return nil, err
	}
	return newest, nil
}

// Save writes p where a crash of the process cannot harm it.
func (k *kept) Save(p []byte) error {
	if k.path == "" {
		return nil
	}
	if len(p) > keepLine || bytes.ContainsRune(p, '\n') {
		return fmt.Errorf("keep %d bytes: %d in one line are the most", len(p), keepLine)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.write(p); err != nil {
		if !k.failed {
			k.log.Warn("what must survive a restart can't be written", "err", err)
		}
		k.failed = true
		return fmt.Errorf("keep a value: %w", err)
	}
	k.dirty = true
	if !k.busy && time.Since(k.synced) >= keepEvery {
		k.busy, k.dirty = true, false
		k.syncing.Go(k.sync)
	}
	return nil
}

func (k *kept) write(p []byte) error {
	if k.f == nil {
		f, err := os.OpenFile(k.path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		k.f = f
	}
	k.gen++
	_, err := k.f.WriteAt(encodeKept(k.gen, p), slotAt(k.gen))
	return err
}

// sync brings it to the disk, which may take long: nobody waits but Close.
func (k *kept) sync() {
	dir, err := os.Open(filepath.Dir(k.path))
	if err == nil {
		err = errors.Join(k.f.Sync(), dir.Sync(), dir.Close())
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy, k.synced = false, time.Now()
	if err != nil && !k.failed {
		k.log.Warn("what must survive a power cut does not reach the disk", "err", err)
	}
	k.failed = err != nil
}

// Close brings to the disk what is not there yet.
func (k *kept) Close() error {
	k.syncing.Wait()
	k.mu.Lock()
	f, dirty := k.f, k.dirty
	k.f = nil
	k.mu.Unlock()
	if f == nil {
		return nil
	}
	var err error
	if dirty {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// encodeKept gives a slot's bytes.
func encodeKept(gen uint64, p []byte) []byte { return seal(keptText(gen, p)) }

func keptText(gen uint64, p []byte) []byte { return fmt.Appendf(nil, "edged keep %d %q", gen, p) }

func decodeKept(slot []byte) (gen uint64, p []byte, ok bool) {
	line, ok := unseal(slot)
	if !ok {
		return 0, nil, false
	}
	var text string
	if _, err := fmt.Sscanf(line, "edged keep %d %q", &gen, &text); err != nil {
		return 0, nil, false
	}
	p = []byte(text)
	return gen, p, gen > 0 && string(keptText(gen, p)) == line
}
