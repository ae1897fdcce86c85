// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"edged/uplink/reach"
)

// nameServer is a DNS server on the loopback, as far as Go's resolver needs one (RFC 1035).
type nameServer struct {
	conn net.PacketConn

	mu     sync.Mutex
	addrs  map[string][]string // by name
	srv    map[string][]srv
	silent bool // it gets questions and answers none
	broken bool // it answers SERVFAIL
}

type srv struct {
	priority, weight, port uint16
	target                 string
}

const (
	typeA    = 1
	typeAAAA = 28
	typeSRV  = 33

	servFail = 2
	nxDomain = 3
)

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{conn: conn, addrs: map[string][]string{}, srv: map[string][]srv{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := n.answer(buf[:size]); answer != nil {
				conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return n
}

// deps are those of a dialer that asks this server.
func (n *nameServer) deps() reach.Deps {
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", n.conn.LocalAddr().String())
	}}
	return reach.Deps{
		Resolve: r.LookupNetIP,
		ResolveSRV: func(ctx context.Context, service, domain string) ([]*net.SRV, error) {
			_, found, err := r.LookupSRV(ctx, service, "tcp", domain)
			return found, err
		},
	}
}

func (n *nameServer) set(change func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	change()
}

func (n *nameServer) answer(question []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.silent || len(question) < 17 {
		return nil
	}
	name, end := readName(question, 12)
	kind := binary.BigEndian.Uint16(question[end:])
	answers, known := n.records(name, kind)
	code := uint16(0)
	switch {
	case n.broken:
		code, answers = servFail, nil
	case !known:
		code = nxDomain
	}
	out := binary.BigEndian.AppendUint16(nil, binary.BigEndian.Uint16(question))
	for _, x := range []uint16{0x8180 | code, 1, uint16(len(answers)), 0, 0} {
		out = binary.BigEndian.AppendUint16(out, x)
	}
	out = append(out, question[12:end+4]...)
	for _, data := range answers {
		out = append(out, 0xc0, 12) // the name of the question
		for _, x := range []uint16{kind, 1, 0, 60, uint16(len(data))} {
			out = binary.BigEndian.AppendUint16(out, x)
		}
		out = append(out, data...)
	}
	return out
}

func (n *nameServer) records(name string, kind uint16) (data [][]byte, known bool) {
	addrs, hasAddrs := n.addrs[name]
	services, hasSRV := n.srv[name]
	for _, s := range addrs {
		if a := netip.MustParseAddr(s); kind == typeA && a.Is4() || kind == typeAAAA && a.Is6() {
			data = append(data, a.AsSlice())
		}
	}
	for _, s := range services {
		if kind != typeSRV {
			continue
		}
		var b []byte
		for _, x := range []uint16{s.priority, s.weight, s.port} {
			b = binary.BigEndian.AppendUint16(b, x)
		}
		data = append(data, appendName(b, s.target))
	}
	return data, hasAddrs || hasSRV
}

func readName(b []byte, at int) (name string, end int) {
	var labels []string
	for b[at] != 0 {
		n := int(b[at])
		labels = append(labels, strings.ToLower(string(b[at+1:at+1+n])))
		at += 1 + n
	}
	return strings.Join(labels, "."), at + 1
}

func appendName(b []byte, name string) []byte {
	for _, label := range strings.FieldsFunc(name, func(r rune) bool { return r == '.' }) {
		b = append(append(b, byte(len(label))), label...)
	}
	return append(b, 0)
}
