// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"time"

	"edged/config"
)

// stopWithin is how long a stop may take, whatever a client, a port or a disk does.
const stopWithin = 5 * time.Second

// goodKeeper writes the configuration that the gateway stands on, beside the gateway, which must not wait for a disk.
type goodKeeper struct {
	next  chan *config.Config // holds one; a newer one takes its place
	ended chan struct{}
}

// keepGood returns a keeper that writes to the state directory, until end is called.
func keepGood(log *slog.Logger, state string) *goodKeeper {
	k := &goodKeeper{next: make(chan *config.Config, 1), ended: make(chan struct{})}
	go func() {
		defer close(k.ended)
		for cfg := range k.next {
			if err := cfg.KeepGood(state); err != nil {
				log.Warn("the configuration could not be kept as the last good one", "err", err)
			}
		}
	}()
	return k
}

// keep is called by one goroutine at a time.
func (k *goodKeeper) keep(cfg *config.Config) {
	select {
	case <-k.next:
	default:
	}
	k.next <- cfg
}

// end waits for what is being written, unless the disk does not answer.
func (k *goodKeeper) end() {
	close(k.next)
	select {
	case <-k.ended:
	case <-time.After(500 * time.Millisecond):
	}
}
