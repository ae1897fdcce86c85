// SPDX-License-Identifier: Apache-2.0

package hostile

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"edged/broker/listener/listenertest"
)

// transport is a listener that is not plain TCP, and how a client comes to speak MQTT there.
type transport struct {
	addr string
	wrap func(net.Conn) (net.Conn, error)
}

// listenOver gives the target the other listeners, whose certificate it puts into dir, and returns their configuration.
func (e *target) listenOver(t *testing.T, dir string) (listen string) {
	t.Helper()
	authority := listenertest.NewAuthority(t)
	cert, key := authority.Issue("localhost")
	listenertest.Write(t, dir, "cert.pem", cert)
	listenertest.Write(t, dir, "key.pem", key)
	trust := authority.Client()
	e.over = map[string]transport{
		"tls": {freeAddr(t), func(nc net.Conn) (net.Conn, error) {
			c := tls.Client(nc, trust)
			return c, errors.Join(c.SetDeadline(time.Now().Add(patience)), c.Handshake())
		}},
		"ws": {freeAddr(t), openWebSocket},
	}
	return fmt.Sprintf("%q, %q", "tls://"+e.over["tls"].addr, "ws://"+e.over["ws"].addr+"/mqtt")
}

// by is the same process, attacked through another listener with one in so many trials.
func (e *target) by(name string, sample int) *target {
	o := *e
	o.addr, o.wrap, o.sample = e.over[name].addr, e.over[name].wrap, sample
	return &o
}

// bare is the same without the handshake.
func (e *target) bare() *target {
	o := *e
	o.wrap = nil
	return &o
}

// webSocket is a stream in binary frames, one for each Write.
type webSocket struct {
	net.Conn
	br   *bufio.Reader
	left int // of the frame that is being read
}

const upgradeRequest = "GET /mqtt HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n%s\r\n"

const speakMQTT = "Sec-WebSocket-Protocol: mqtt\r\n"

func openWebSocket(nc net.Conn) (net.Conn, error) {
	w := &webSocket{Conn: nc, br: bufio.NewReader(nc)}
	if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(nc, upgradeRequest, nc.RemoteAddr(), speakMQTT); err != nil {
		return nil, err
	}
	r, err := http.ReadResponse(w.br, nil)
	if err != nil {
		return nil, err
	}
	if r.StatusCode != http.StatusSwitchingProtocols || !strings.EqualFold(r.Header.Get("Sec-WebSocket-Protocol"), "mqtt") {
		return nil, fmt.Errorf("no WebSocket: %s", r.Status)
	}
	return w, nil
}

// frameOf is a masked frame; its first byte is given. The mask is of zeros, so that the payload stands as it is.
func frameOf(first byte, p []byte) []byte { return append(frameHead(first, len(p)), p...) }

func frameHead(first byte, n int) []byte {
	b := []byte{first}
	switch {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0xfe), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0xff), uint64(n))
	}
	return append(b, 0, 0, 0, 0)
}

const (
	binaryFrame = 0x82
	closeFrame  = 0x88
	pingFrame   = 0x89
)

// Write is [net.Conn].
func (w *webSocket) Write(p []byte) (int, error) {
	if _, err := w.Conn.Write(frameOf(binaryFrame, p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Read is [net.Conn].
func (w *webSocket) Read(p []byte) (int, error) {
	for w.left == 0 {
		if err := w.head(); err != nil {
			return 0, err
		}
	}
	n, err := w.br.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// head reads the head of a frame, or nothing of it where the deadline comes first.
func (w *webSocket) head() error {
	b, err := w.br.Peek(2)
	if err != nil {
		return err
	}
	opcode, n, size := b[0]&15, int(b[1]), 2
	switch n {
	case 126:
		size = 4
	case 127:
		size = 10
	}
	if b, err = w.br.Peek(size); err != nil {
		return err
	}
	switch n {
	case 126:
		n = int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		n = int(binary.BigEndian.Uint64(b[2:]))
	}
	if opcode&8 == 0 {
		w.left = n
		_, err = w.br.Discard(size)
		return err
	}
	if _, err = w.br.Peek(size + n); err != nil {
		return err
	}
	if _, err = w.br.Discard(size + n); err == nil && opcode == closeFrame&15 {
		return io.EOF
	}
	return err
}
