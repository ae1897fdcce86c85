// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"edged/bridge/port"
	"edged/devices"
)

// wire is a simulated device at the far end of a pseudo terminal.
type wire struct {
	pty *port.PTY
	sim devices.Simulator
}

// newWire makes a device of a driver with these options.
func newWire(d *devices.Driver, o devices.Options, seed uint64) (*wire, error) {
	sim, err := d.Simulate(o, seed)
	if err != nil {
		return nil, fmt.Errorf("simulate a %s: %w", d.Name, err)
	}
	pty, err := port.OpenPTY()
	if err != nil {
		return nil, err
	}
	return &wire{pty, sim}, nil
}

// orders is how many writes to the device may wait for it; a UART that nobody reads would lose more.
const orders = 8

// run plays the device until ctx ends, then takes its port away.
func (w *wire) run(ctx context.Context) error {
	heard := make(chan []byte, orders)
	var reading sync.WaitGroup
	reading.Go(func() { w.listen(ctx, heard) })
	err := w.speak(ctx, heard)
	err = errors.Join(err, w.pty.Close())
	reading.Wait()
	return err
}

func (w *wire) listen(ctx context.Context, heard chan<- []byte) {
	for {
		buf := make([]byte, 256)
		n, err := w.pty.Read(buf)
		if err != nil {
			return
		}
		select {
		case heard <- buf[:n]:
		case <-ctx.Done():
			return
		}
	}
}

func (w *wire) speak(ctx context.Context, heard <-chan []byte) error {
	next := time.Now()
	for {
		var due <-chan time.Time
		if !next.IsZero() {
			due = time.After(time.Until(next))
		}
		var out []byte
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		case p := <-heard:
			out = w.sim.Receive(p, time.Now(), nil)
		}
		out, next = w.sim.Tick(time.Now(), out)
		if err := w.send(out); err != nil {
			return err
		}
	}
}

// send writes to the wire. What a full buffer does not take is lost, as on a real one.
func (w *wire) send(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	if err := w.pty.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		return err
	}
	if _, err := w.pty.Write(p); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("write to the simulated wire: %w", err)
	}
	return nil
}
