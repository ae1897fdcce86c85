// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/spf13/cobra"

	"edged/uplink/reach"
)

// other is the broker that a command is to be a client of, instead of the gateway's.
type other struct {
	url string // "": the gateway's
	ca  string // PEM file; "": the system's authorities
}

func (o *other) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.url, "url", "", "another broker: mqtt://[USER:PASSWORD@]HOST[:PORT], mqtts://, ws://HOST/PATH, wss:// or unix:///PATH")
	cmd.Flags().StringVar(&o.ca, "ca", "", "PEM file of the authorities that mqtts:// and wss:// trust (default: the system's)")
}

// dial opens a connection that speaks MQTT. login tells the user and password of the url.
func (o *other) dial(ctx context.Context) (c net.Conn, login *url.Userinfo, err error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	u, err := url.Parse(o.url)
	if err != nil {
		return nil, nil, exitWith(exitUsage, errors.New("--url cannot be read: write it as in mqtt://localhost:1883"))
	}
	if u.Scheme == "unix" {
		c, err := o.dialUnix(ctx, u)
		return c, nil, err
	}
	login, u.User = u.User, nil
	t, err := reach.ParseTarget(u.String())
	if err != nil {
		return nil, nil, exitWith(exitUsage, fmt.Errorf("--url: %w", err))
	}
	d := reach.New(reach.Config{CA: o.ca}, reach.Deps{})
	rc, err := d.Open(ctx, t, nil)
	if err != nil {
		return nil, nil, exitWith(exitUnavailable, err)
	}
	return rc, login, nil
}

func (o *other) dialUnix(ctx context.Context, u *url.URL) (net.Conn, error) {
	path := u.Path
	if path == "" || u.Host != "" || u.User != nil {
		return nil, exitWith(exitUsage, errors.New("--url: write a socket with three slashes, as in unix:///run/edged/mqtt.sock"))
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, exitWith(exitUnavailable, fmt.Errorf("connect to %s: %w", path, err))
	}
	return c, nil
}
