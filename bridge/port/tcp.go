// SPDX-License-Identifier: Apache-2.0

package port

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// dialTCP connects to a device server.
func dialTCP(ctx context.Context, name, address string) (Port, error) {
	d := net.Dialer{Timeout: openTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	nc, err := d.DialContext(ctx, "tcp", address)
	if err == nil {
		return tcp{nc.(*net.TCPConn)}, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	e := &Error{Code: Missing, Port: name, Text: err.Error(), Do: "check address, power and network of the device", Err: err}
	if errors.Is(err, syscall.ECONNREFUSED) {
		e.Text = "nothing listens at this address"
	}
	return nil, e
}

// tcp is a connection that is dropped, not lingered for, when it is closed.
type tcp struct{ *net.TCPConn }

// Close drops what the peer has not taken.
func (t tcp) Close() error {
	return errors.Join(t.SetLinger(0), t.TCPConn.Close())
}
