// SPDX-License-Identifier: Apache-2.0

package path

import (
	"bytes"
	"fmt"
	"net"
	"sync"
	"testing"

	"edged/mqtt/wire"
)

// tap stands before the cloud and notes under which identifier each message of the traffic comes, and whether one that comes
// again says so.
type tap struct {
	mu      sync.Mutex
	ids     map[string]uint16 // by topic and number
	repeats int               // bore the identifier that the first had, and DUP
	faults  []string          // did not
}

// newTap listens at a port of the cloud's host.
func newTap(t *testing.T, c *cloud, port int) *tap {
	t.Helper()
	x := &tap{ids: map[string]uint16{}}
	l := c.at.listen(t, fmt.Sprint("0.0.0.0:", port))
	var all sync.WaitGroup
	all.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := c.at.dial(fmt.Sprint("127.0.0.1:", c.port))
			if err != nil {
				_ = near.Close()
				continue
			}
			all.Go(func() { x.pass(near, far, x.look) })
			all.Go(func() { x.pass(far, near, func(b []byte) []byte { return nil }) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		c.kill() // so that every connection ends
		all.Wait()
	})
	return x
}

// pass hands on what comes, until one end is gone.
func (x *tap) pass(from, to net.Conn, look func([]byte) []byte) {
	defer func() { _, _ = from.Close(), to.Close() }()
	buf := make([]byte, 32<<10)
	var kept []byte
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		kept = look(append(kept, buf[:n]...))
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// look reads the packets that are whole and returns the rest.
func (x *tap) look(b []byte) (rest []byte) {
	for {
		h, body, n, _, f := wire.Frame(b)
		if f != nil || n == 0 {
			return bytes.Clone(b)
		}
		var p wire.Inbound
		if h>>4 == wire.Publish && wire.ReadPublish(h, body, 4, true, 0, nil, &p) == nil && bytes.HasPrefix(p.Topic, []byte("plant/")) {
			number, _, _ := bytes.Cut(p.Payload, []byte(" "))
			x.note(string(p.Topic)+" "+string(number), p.ID, p.Dup)
		}
		b = b[n:]
	}
}

func (x *tap) note(message string, id uint16, dup bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	first, again := x.ids[message]
	switch {
	case !again:
		x.ids[message] = id
	case dup && first == id:
		x.repeats++
	default:
		x.faults = append(x.faults, fmt.Sprintf("%s came as %d, and again as %d, DUP %v", message, first, id, dup))
	}
}

// verdict fails the test unless all that came again bore its identifier and DUP.
func (x *tap) verdict(t *testing.T) {
	t.Helper()
	x.mu.Lock()
	defer x.mu.Unlock()
	t.Logf("%d messages came again, %d of them without DUP or under another identifier", x.repeats+len(x.faults), len(x.faults))
	for i, f := range x.faults {
		if i == 5 {
			break
		}
		t.Error(f)
	}
}
