// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"edged/bridge"
	"edged/bridge/port"
	"edged/bridge/port/capture"
	"edged/config"
	"edged/devices"
)

func newDeviceCapture(g *globals) *cobra.Command {
	var serial string
	var length time.Duration
	cmd := &cobra.Command{
		Use:   "capture NAME|PORT [FILE]",
		Short: "record what goes over a device's port, with its time; nothing is sent",
		Long: `Record what goes over a port, with its time, until Ctrl-C or for as long as --for says.

The running gateway lets this command listen to its devices by their names. Without one, or for a port by its name, the port
is opened. Each line of the recording is a time, a direction (< from the device, > to it) and bytes: text in quotes, anything
else in hexadecimal. port = "replay:FILE" plays it, edged decode reads it.`,
		Example: `  edged device capture office office.capture
  edged device capture --for 10s /dev/ttyUSB0 --serial '9600 8N1'
  edged device capture office | grep T=`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			ctx, stop := interruptible(cmd)
			defer stop()
			if length > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, length)
				defer cancel()
			}
			from, err := g.openCapture(ctx, args[0], serial)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, from.Close()) }()
			to := io.Writer(g.out)
			if len(args) == 2 {
				f, err := os.OpenFile(args[1], os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
				if err != nil {
					return saveError(err)
				}
				defer func() { err = errors.Join(err, f.Close()) }()
				to = f
			}
			return g.capture(ctx, from, to)
		},
	}
	cmd.Flags().StringVar(&serial, "serial", "", "how the port speaks, such as \"115200 8N1\" (default: as the device is configured, or 9600 8N1)")
	cmd.Flags().DurationVar(&length, "for", 0, "end after this time, such as 60s")
	return cmd
}

// capture copies a capture line by line until it ends or ctx does, and says how much it was.
func (g *globals) capture(ctx context.Context, from io.ReadCloser, to io.Writer) error {
	stop := context.AfterFunc(ctx, func() { _ = from.Close() }) // it is closed again, and told then
	defer stop()
	r := bufio.NewReaderSize(from, 4096)
	pieces, size := 0, 0
	for {
		line, err := r.ReadBytes('\n')
		if p, ok, wrong := capture.Parse(line); ok && wrong == nil && err == nil {
			pieces++
			size += len(p.Bytes)
		}
		if err == nil {
			if _, failed := to.Write(line); failed != nil {
				return fmt.Errorf("write the capture: %w", failed)
			}
			continue
		}
		g.say("%d bytes in %d pieces", size, pieces)
		if ctx.Err() != nil {
			return nil
		}
		var e *port.Error
		if errors.Is(err, io.EOF) {
			err = errors.New("the gateway closed the connection")
		} else if errors.As(err, &e) {
			err = e
		}
		return exitWith(exitUnavailable, err)
	}
}

// openCapture listens to a device of the running gateway, else to a port that it opens. The text that is read is a
// capture.
func (g *globals) openCapture(ctx context.Context, name, serial string) (io.ReadCloser, error) {
	if port.CheckName(name) == nil && name != port.Sim {
		return g.openOwn(ctx, port.Request{Name: name}, serial, "port "+name)
	}
	tap, err := g.tap(ctx, name)
	if !errors.Is(err, errNotRunning) {
		return tap, err
	}
	cfg, err := config.Load(g.config)
	if err != nil {
		return nil, g.problems(err)
	}
	for _, d := range cfg.Devices {
		if d.Name == name {
			drv, _ := cfg.Drivers.Get(d.Driver) // a device's driver is checked when it is read
			return g.openConfigured(ctx, d, drv, serial)
		}
	}
	return nil, exitWith(exitUsage, fmt.Errorf("there is no device %q; edged is not running, and the configuration has none of that name", name))
}

// tap listens to a device of the running gateway.
func (g *globals) tap(ctx context.Context, device string) (io.ReadCloser, error) {
	c, _, answer, err := g.request(ctx, http.MethodGet, "/tap?device="+url.QueryEscape(device), nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<10))
		return nil, exitWith(exitUsage, errors.Join(errors.New(strings.TrimSpace(string(text))), err, c.Close()))
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return tapConn{answer.Body, c}, nil
}

// tapConn is the connection over which the gateway sends a capture.
type tapConn struct {
	io.Reader
	conn net.Conn
}

// Close ends the capture.
func (t tapConn) Close() error {
	if err := t.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// openConfigured opens the port of a device that no gateway holds.
func (g *globals) openConfigured(ctx context.Context, d bridge.Config, drv *devices.Driver, serial string) (io.ReadCloser, error) {
	r := port.Request{Name: d.Port}
	serial = cmp.Or(serial, d.Serial, drv.Serial)
	if d.Port == port.Sim {
		sim, err := drv.Simulate(d.Options, 1)
		if err != nil {
			return nil, exitWith(exitConfig, err)
		}
		r.Peer = func() port.Peer { return sim }
	}
	return g.openOwn(ctx, r, serial, fmt.Sprintf("device %s, driver %s, port %s", d.Name, d.Driver, d.Port))
}

// openOwn opens a port of this machine.
func (g *globals) openOwn(ctx context.Context, r port.Request, serial, about string) (io.ReadCloser, error) {
	var err error
	if r.Mode, err = port.ParseSerial(serial); err != nil {
		return nil, exitWith(exitUsage, fmt.Errorf("--serial: %w", err))
	}
	p, err := port.New("", g.logger(slog.LevelInfo)).Open(ctx, r)
	if err != nil {
		return nil, portError(err)
	}
	if port.Serial(r.Name) {
		about += ", " + r.Mode.String()
	}
	c := &captured{port: p}
	if c.lines, err = capture.NewWriter(&c.text, about); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return c, nil
}

// portError gives the error of a port its exit code.
func portError(err error) error {
	if e := new(port.Error); errors.As(err, &e) && e.Code == port.Forbidden {
		return exitWith(exitPermission, err)
	}
	return exitWith(exitUnavailable, err)
}

// captured is a port whose bytes are read as a capture.
type captured struct {
	port  port.Port
	lines *capture.Writer
	text  bytes.Buffer
	ended error
	buf   [512]byte
}

// Read reads lines of the capture.
func (c *captured) Read(p []byte) (int, error) {
	for c.text.Len() == 0 {
		if c.ended != nil {
			return 0, c.ended
		}
		if err := c.fill(); err != nil {
			return 0, err
		}
	}
	return c.text.Read(p)
}

// fill waits for bytes, but not longer than text may pause.
func (c *captured) fill() error {
	now := time.Now()
	if err := c.port.SetReadDeadline(now.Add(100 * time.Millisecond)); err != nil {
		return err
	}
	n, err := c.port.Read(c.buf[:])
	now = time.Now()
	if n > 0 {
		if err := c.lines.Add(capture.Piece{At: now, Bytes: c.buf[:n]}); err != nil {
			return err
		}
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return c.lines.Settle(now)
	}
	c.ended = err
	return c.lines.Flush()
}

// Close lets the port go.
func (c *captured) Close() error {
	if err := c.port.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
