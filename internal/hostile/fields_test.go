// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"edged/mqtt/wire"
)

// workers is how many attackers work at a time.
const workers = 8

// each calls f for every x, some at a time.
func each[X any](all []X, f func(x X)) {
	next := make(chan X)
	var busy sync.WaitGroup
	for range workers {
		busy.Go(func() {
			for x := range next {
				f(x)
			}
		})
	}
	for _, x := range all {
		next <- x
	}
	close(next)
	busy.Wait()
}

// trial is bytes that the broker must not accept.
type trial struct {
	name  string
	level byte
	first bool // instead of a CONNECT, else after one
	send  []byte
	codes []int // of which MQTT 5 names one for it, in DISCONNECT or CONNACK; nil: none
	grant bool  // a refusal in SUBACK or UNSUBACK is as good
	want  int   // of a CONNACK up to 3.1.1, 0: none
}

// run sends the bytes and tells what is wrong with the answer.
func (x trial) run(e *target) error {
	c, err := e.dial()
	if err != nil {
		return err
	}
	defer c.drop()
	if c.level = x.level; !x.first {
		if code, err := c.connect(clean(x.level, "")); x.level > 3 && (code != 0 || err != nil) {
			return fmt.Errorf("CONNACK %d, %w", code, err)
		} else if x.level == 3 { // 3.1 knows no empty identifier
			c.drop()
			if c, code, err = e.connect(clean(3, newName())); code != 0 || err != nil {
				return fmt.Errorf("CONNACK %d, %w", code, err)
			}
			defer c.drop()
		}
	}
	if err := c.send(x.send); err != nil {
		return nil // closed before all was said
	}
	switch got := c.end(patience / 4); {
	case x.grant && got.grant >= wire.Unspecified:
	case !got.closed:
		return fmt.Errorf("the connection is still open (code %d, grant %d)", got.code, got.grant)
	case x.level < 5 && got.code != -1 && (!x.first || got.code != x.want):
		return fmt.Errorf("code 0x%02x", got.code)
	case x.level == 5 && got.code == -1 && x.first: // a server may close without a word [MQTT-3.1.4-1]
	case x.level == 5 && x.codes != nil && !slices.Contains(x.codes, got.code):
		return fmt.Errorf("code 0x%02x, want one of % 02x", got.code, x.codes)
	}
	return nil
}

func refused(t *testing.T, e *target, all []trial) {
	t.Helper()
	if len(all) < 10 {
		t.Fatalf("only %d trials", len(all))
	}
	if e.sample > 0 {
		kept := all[:0]
		for i := rand.N(e.sample); i < len(all); i += e.sample {
			kept = append(kept, all[i])
		}
		all = kept
	}
	t.Logf("%d trials", len(all))
	each(all, func(x trial) {
		if err := x.run(e); err != nil {
			t.Errorf("MQTT level %d, %s: % .60x: %v", x.level, x.name, x.send, err)
		}
	})
}

// broken are the codes of MQTT 5 for what is wrong with the form of a packet.
func broken() []int { return []int{wire.Malformed, wire.ProtocolError} }

// lyingLengths sends whole packets in which one length reaches past the end.
func lyingLengths(t *testing.T, e *target) {
	var all []trial
	for level := byte(3); level <= 5; level++ {
		packets := fullPackets(level)
		packets["CONNECT"] = fullConnect(level)
		for name, p := range packets {
			for i, f := range p.fields {
				for _, lie := range p.lies(f) {
					all = append(all, trial{
						name: fmt.Sprintf("%s, length %d is % x", name, i, lie), level: level, first: name == "CONNECT",
						send: p.with(f.off, f.len, lie), codes: broken(),
					})
				}
			}
		}
	}
	refused(t, e, all)
}

// lies are what a length may claim that is more than there is.
func (p *body) lies(f field) (all [][]byte) {
	left := len(p.b) - f.off - f.len
	switch f.kind {
	case length16:
		for _, n := range []int{left + 1, left + 2, 0x7fff, 0xffff} {
			all = append(all, binary.BigEndian.AppendUint16(nil, uint16(n)))
		}
	case lengthV:
		for _, n := range []int{left + 1, 0x3fff, 0x1fffff, wire.MaxLength} {
			all = append(all, wire.AppendLength(nil, n))
		}
		all = append(all, []byte{0xff, 0xff, 0xff, 0xff, 0x01}, []byte{0x80, 0x80, 0x80, 0x80, 0x80, 0x01})
	}
	return all
}

// badText puts what is no UTF-8, or what MQTT forbids in it, into every string of every packet.
func badText(t *testing.T, e *target) {
	bad := map[string]string{
		"NUL": "\x00", "overlong NUL": "\xc0\x80", "overlong slash": "\xe0\x80\xaf", "overlong in four": "\xf0\x80\x80\xaf",
		"first surrogate": "\xed\xa0\x80", "last surrogate": "\xed\xbf\xbf", "beyond Unicode": "\xf4\x90\x80\x80",
		"0xFF": "\xff", "0xFE": "\xfe", "cut": "\xc3", "lone continuation": "\x80",
	}
	var all []trial
	for level := byte(3); level <= 5; level++ {
		packets := fullPackets(level)
		packets["CONNECT"] = fullConnect(level)
		for name, p := range packets {
			for i, f := range p.fields {
				if f.kind != text && f.kind != topic || name == "CONNECT" && i == 1 { // the protocol's name is no free text
					continue
				}
				for what, s := range bad {
					all = append(all, trial{
						name: fmt.Sprintf("%s, string %d: %s", name, i, what), level: level, first: name == "CONNECT",
						send: p.with(f.off, f.len, spoil(f.len, s)), codes: broken(),
					})
				}
			}
		}
	}
	refused(t, e, all)
}

// spoil is text of a length with something bad in it; one that is too short is bad at its end as well.
func spoil(n int, bad string) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'a'
	}
	copy(b[max(n-len(bad), 0):], bad)
	return b
}
