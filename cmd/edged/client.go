// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"syscall"
	"time"

	"edged/cmd/edged/gateway"
	"edged/mqtt"
)

// dialTimeout bounds how long a command tries to reach a broker or the gateway.
const dialTimeout = 10 * time.Second

// errNotRunning is wrapped by the error of askGateway where no gateway runs.
var errNotRunning = errors.New("edged is not running")

// askGateway opens a connection to the running gateway's control socket.
func (g *globals) askGateway(ctx context.Context) (net.Conn, error) {
	path := g.socketPath()
	d := net.Dialer{Timeout: dialTimeout}
	c, err := d.DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, os.ErrPermission):
		return nil, exitWith(exitPermission, fmt.Errorf("no permission to use %s: only root and the group edged may; try sudo", path))
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, exitWith(exitUnavailable, fmt.Errorf("%w (no answer at %s)\nstart it: sudo systemctl start edged, or edged run", errNotRunning, path))
	}
	return nil, exitWith(exitUnavailable, fmt.Errorf("reach the gateway: %w", err))
}

// request sends one HTTP request over the control socket and returns the answer; closing its body closes the socket.
func (g *globals) request(ctx context.Context, method, path string, header http.Header) (net.Conn, *bufio.Reader, *http.Response, error) {
	c, err := g.askGateway(ctx)
	if err != nil {
		return nil, nil, nil, err
	}
	fail := func(err error) (net.Conn, *bufio.Reader, *http.Response, error) {
		return nil, nil, nil, exitWith(exitUnavailable, errors.Join(fmt.Errorf("ask the gateway: %w", err), c.Close()))
	}
	if err := c.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return fail(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://edged"+path, nil)
	if err != nil {
		return fail(err)
	}
	for k, v := range header {
		req.Header[k] = v
	}
	if err := req.Write(c); err != nil {
		return fail(err)
	}
	r := bufio.NewReader(c)
	answer, err := http.ReadResponse(r, req)
	if err != nil {
		return fail(err)
	}
	return c, r, answer, nil
}

// buffered is a connection of which some bytes have been read already.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// dialBroker opens a connection that speaks MQTT: through the control socket with all rights, or to another broker like
// any client. login tells the user and password of the url.
func (g *globals) dialBroker(ctx context.Context, o other) (c net.Conn, login *url.Userinfo, err error) {
	if o.url != "" {
		return o.dial(ctx)
	}
	raw, r, answer, err := g.request(ctx, http.MethodPost, "/mqtt", http.Header{"Connection": {"Upgrade"}, "Upgrade": {gateway.MQTTProtocol}})
	if err != nil {
		return nil, nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return nil, nil, exitWith(exitUnavailable, errors.Join(fmt.Errorf("the gateway refuses: %s %s", answer.Status, text), err, raw.Close()))
	}
	if err := raw.SetDeadline(time.Time{}); err != nil {
		return nil, nil, errors.Join(err, raw.Close())
	}
	return buffered{raw, r}, nil, nil
}

// connect opens an MQTT session of the command's own that ends with it.
func (g *globals) connect(ctx context.Context, o other, onMessage func(*mqtt.Delivery)) (*mqtt.Client, error) {
	nc, login, err := g.dialBroker(ctx, o)
	if err != nil {
		return nil, err
	}
	cfg := mqtt.Config{Version: 4, Clean: true, KeepAlive: 60 * time.Second, OnMessage: onMessage}
	if login != nil {
		cfg.Username = login.Username()
		if p, ok := login.Password(); ok {
			cfg.Password = []byte(p)
		}
	}
	c, _, err := mqtt.Connect(ctx, nc, mqtt.NewSession(), cfg)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open an MQTT session: %w", err), nc.Close())
	}
	return c, nil
}
