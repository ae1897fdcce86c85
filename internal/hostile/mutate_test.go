// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"edged/mqtt/wire"
)

// mutations is how many spoilt sessions are tried.
const mutations = 3000

// mutatedSessions sends whole valid sessions with a few bytes spoilt. Nothing is known about the answer, but that the
// connection ends when the client has said all.
func mutatedSessions(t *testing.T, e *target) {
	seeds := make([]uint64, mutations)
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	each(seeds, func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		bytes := mutate(r, wholeSession(byte(3+seed%3)))
		if err := say(e, bytes); err != nil {
			t.Errorf("seed %d: % .80x: %v", seed, bytes, err)
		}
	})
}

// say sends everything, and waits for the end of the connection.
func say(e *target, b []byte) error {
	c, err := e.dial()
	if err != nil {
		return err
	}
	defer c.drop()
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		return errors.New("no TCP connection")
	}
	if c.send(b) != nil || tcp.CloseWrite() != nil {
		return nil // closed before all was said
	}
	if err := c.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	var late net.Error
	if _, err := io.Copy(io.Discard, c.nc); errors.As(err, &late) && late.Timeout() {
		return errors.New("the connection is still open")
	}
	return nil
}

// wholeSession is everything that a client may do, in one.
func wholeSession(level byte) []byte {
	b := fullConnect(level).frame()
	b = append(b, fullSubscribe(level).frame()...)
	b = append(b, fullPublish(level).frame()...)
	b = append(b, publishFrame(level, "a/x/b", []byte("exactly once"), 2, 6, true)...)
	b = wire.AppendAck(b, wire.Pubrel, 6, 0, level)
	b = wire.AppendAck(b, wire.Puback, 1, 0, level)
	b = append(b, fullUnsubscribe(level).frame()...)
	if level == 5 {
		b = append(b, fullAck(wire.Pubrec<<4).frame()...)
		b = append(b, fullDisconnect().frame()...)
	}
	return append(b, wire.Disconnect<<4, 0)
}

// mutate spoils a few places.
func mutate(r *rand.Rand, b []byte) []byte {
	for range 1 + r.IntN(4) {
		i := r.IntN(len(b))
		switch j := i + r.IntN(min(20, len(b)-i)) + 1; r.IntN(7) {
		case 0:
			b[i] ^= 1 << r.IntN(8)
		case 1:
			b[i] = byte(r.Uint32())
		case 2:
			b[i] = [...]byte{0, 1, 0x7f, 0x80, 0xff}[r.IntN(5)]
		case 3:
			b = slices.Delete(b, i, j)
		case 4:
			b = slices.Insert(b, i, slices.Clone(b[i:j])...)
		case 5:
			b = slices.Insert(b, i, byte(r.Uint32()), byte(r.Uint32()))
		case 6:
			b = b[:i+1]
		}
		if len(b) == 0 {
			return []byte{0}
		}
	}
	return b
}
