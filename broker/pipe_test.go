// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPipeCarriesBytesBothWays(t *testing.T) {
	a, b := newPipe()
	sent := make([]byte, 3<<20)
	for i := range sent {
		sent[i] = byte(rand.Int())
	}
	var wg sync.WaitGroup
	for _, p := range []*pipeEnd{a, b} { // both write before they read: a bare net.Pipe would stand still
		wg.Go(func() {
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+rand.IntN(100000))
				if _, err := p.Write(rest[:n]); err != nil {
					t.Error(err)
					return
				}
				rest = rest[n:]
			}
		})
		wg.Go(func() {
			got := make([]byte, len(sent))
			if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, sent) {
				t.Errorf("got something else, %v", err)
			}
		})
	}
	wg.Wait()
}

func TestPipeEnds(t *testing.T) {
	a, b := newPipe()
	if _, err := a.Write([]byte("last words")); err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(b); err != nil || string(got) != "last words" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("write to a closed pipe: %v", err)
	}
	if n := b.TryWrite([]byte("x")); n != 0 {
		t.Errorf("TryWrite to a closed pipe took %d", n)
	}
	if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("read after Close: %v", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestPipeDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		began := time.Now()
		ok(t, a.SetReadDeadline(began.Add(time.Second)))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read again: %v", err)
		}
		ok(t, a.SetReadDeadline(time.Time{}))
		go func() {
			time.Sleep(time.Second)
			if _, err := b.Write([]byte("x")); err != nil {
				t.Error(err)
			}
		}()
		if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
			t.Errorf("read without a deadline: %d, %v", n, err)
		}

		began = time.Now()
		ok(t, a.SetDeadline(began.Add(2*time.Second)))
		if n, err := a.Write(make([]byte, 100<<10)); n != pipeBuffer || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2*time.Second {
			t.Errorf("write: %d, %v after %v", n, err, time.Since(began))
		}

		// A deadline that is put off while somebody waits, and one that is brought forward.
		ok(t, b.SetDeadline(time.Time{}))
		if _, err := io.ReadFull(b, make([]byte, pipeBuffer)); err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		ok(t, b.SetReadDeadline(began.Add(time.Second)))
		go func() {
			time.Sleep(500 * time.Millisecond)
			ok(t, b.SetReadDeadline(began.Add(5*time.Second)))
			time.Sleep(2 * time.Second)
			ok(t, b.SetReadDeadline(time.Now().Add(-time.Second)))
		}()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 2500*time.Millisecond {
			t.Errorf("read: %v after %v", err, time.Since(began))
		}
	})
}

func ok(t *testing.T, err error) {
	if err != nil {
		t.Error(err)
	}
}

func TestPipeCloseUnblocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		c, d := newPipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("read: %v", err)
			}
		})
		wg.Go(func() {
			if _, err := b.Write(make([]byte, 1<<20)); err == nil {
				t.Error("a write of 1 MiB went through")
			}
		})
		synctest.Wait()
		ok(t, a.Close())
		ok(t, c.Close())
		wg.Wait()
		ok(t, d.Close())
	})
}
