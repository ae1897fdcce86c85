// SPDX-License-Identifier: Apache-2.0

// Package demo shows the whole gateway without hardware: the real bridges on pseudo terminals with simulated devices at
// their ends, the real broker and uplink, and a pretend cloud whose link is cut and mended.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"edged/broker"
	"edged/cmd/edged/gateway"
	"edged/config"
	"edged/devices/catalog"
)

// Options is what a demonstration is started with.
type Options struct {
	For     time.Duration // 0: until ctx ends
	Port    int           // of the gateway's broker, if it is free; 0: any
	Version string
	Built   time.Time
	Log     *slog.Logger
	Out     io.Writer // readings and what each cut did
	Talk    io.Writer // what is shown before
}

// ErrLost is returned when the pretend cloud misses a reading, or got one again that was not in flight at a cut.
var ErrLost = errors.New("the pretend cloud's count is not right")

// The rhythm of the link.
const (
	upFor  = 14 * time.Second
	cutFor = 8 * time.Second
	drain  = 10 * time.Second // how long what waits may take at the end
)

// demo is a demonstration that runs.
type demo struct {
	Options
	dir     string
	parts   []*part
	wires   []*wire
	cloud   *broker.Broker
	link    *link
	gateway *gateway.Gateway
	count   *count
	screen  *screen
}

// part is one thing that runs; it is stopped in the opposite order of the start.
type part struct {
	name string
	stop context.CancelFunc
	done chan error
}

func (d *demo) launch(name string, task func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name, cancel, make(chan error, 1)}
	d.parts = append(d.parts, p)
	go func() { p.done <- task(ctx) }()
}

// Run shows the demonstration until ctx ends or its time is over.
func Run(ctx context.Context, o Options) (err error) {
	d := &demo{Options: o, count: newCount()}
	if d.dir, err = os.MkdirTemp("", "edged-demo-"); err != nil {
		return fmt.Errorf("make a directory for the demonstration: %w", err)
	}
	defer func() { err = errors.Join(err, d.stop(), os.RemoveAll(d.dir)) }()
	if err := d.start(); err != nil {
		return err
	}
	if o.For > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.For)
		defer cancel()
	}
	d.cycle(ctx)
	return d.verdict()
}

// start brings up the cloud, the link, the devices and the gateway, and shows what there is.
func (d *demo) start() error {
	if err := d.startCloud(); err != nil {
		return err
	}
	cfg, err := d.configuration()
	if err != nil {
		return err
	}
	ready := make(chan struct{})
	d.gateway, err = gateway.New(gateway.Options{
		Config: cfg, State: filepath.Join(d.dir, "gateway"), Version: d.Version, Built: d.Built, Log: d.Log,
		Ready: func() { close(ready) },
	})
	if err != nil {
		return err
	}
	d.screen = newScreen(d.Out)
	ended := make(chan struct{})
	d.launch("gateway", func(ctx context.Context) error {
		defer close(ended)
		return d.gateway.Run(ctx)
	})
	select {
	case <-ready:
	case <-ended:
		return errors.New("the gateway does not start")
	}
	d.launch("screen", func(ctx context.Context) error { return d.watch(ctx) })
	for _, w := range d.wires {
		d.launch("simulated device", w.run)
	}
	d.introduce()
	return nil
}

// startCloud makes the pretend cloud, a broker of its own that counts what comes, and the link to it.
func (d *demo) startCloud() error {
	cfg := broker.Defaults()
	cfg.Listen = []string{"127.0.0.1:0"}
	var err error
	if d.cloud, err = broker.Open(cfg, filepath.Join(d.dir, "cloud"), d.Log.With("part", "pretend cloud")); err != nil {
		return err
	}
	d.launch("pretend cloud", d.cloud.Run)
	if err := d.cloud.Listen(context.Background()); err != nil {
		return err
	}
	if d.link, err = newLink(d.cloud.Addrs()[0].String(), d.Log.With("part", "link")); err != nil {
		return err
	}
	d.launch("link", d.link.run)
	d.launch("count", func(ctx context.Context) error { return d.countAll(ctx) })
	return nil
}

// devices of the demonstration: a driver, the options of its table, and the name.
const deviceTables = `
[device.air]
driver = "pms5003"
port   = %q

[device.dust]
driver = "sds011"
port   = %q

[device.office]
driver = "line"
port   = %q
serial = "9600 8N1"
format = "template"
parse  = "T={temperature},H={humidity}"
reading.temperature = { unit = "°C", class = "temperature" }
reading.humidity    = { unit = "%%", class = "humidity" }
`

// configuration is the one of a user with these devices; their ports are pseudo terminals.
func (d *demo) configuration() (*config.Config, error) {
	tables := fmt.Sprintf(deviceTables, "sim", "sim", "sim")
	plain, err := config.Parse("demo.toml", tables)
	if err != nil {
		return nil, err
	}
	ports := make([]any, 0, len(plain.Devices))
	for i, c := range plain.Devices {
		drv, ok := catalog.Get(c.Driver)
		if !ok {
			return nil, fmt.Errorf("there is no driver %q", c.Driver)
		}
		w, err := newWire(drv, c.Options, uint64(i)+1)
		if err != nil {
			return nil, err
		}
		d.wires = append(d.wires, w)
		ports = append(ports, w.pty.Name)
	}
	head := fmt.Sprintf("[gateway]\nid = \"demo\"\n[console]\nlisten = \"\"\n[broker]\nlisten = [\"127.0.0.1:%d\"]\n[uplink]\nurl = \"mqtt://%s\"\n", d.brokerPort(), d.link.address())
	return config.Parse("demo.toml", head+fmt.Sprintf(deviceTables, ports...))
}

// brokerPort is the wanted port, or a free one where that is taken.
func (d *demo) brokerPort() int {
	for _, p := range []int{d.Port, 0} {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p))
		if err != nil {
			if p != 0 && errors.Is(err, syscall.EADDRINUSE) {
				fmt.Fprintf(d.Talk, "Port %d is taken; the demonstration uses another.\n", p)
			}
			continue
		}
		port := l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			d.Log.Debug("looking for a free port", "err", err)
		}
		return port
	}
	return d.Port
}

func (d *demo) introduce() {
	at := d.gateway.Broker().Addrs()[0]
	fmt.Fprintf(d.Talk, `edged %s demo. Everything is simulated; a temporary directory goes when it ends. Ctrl-C ends it.

  Broker    mqtt://%s
  Devices   air (PMS5003), dust (SDS011), office (lines of text), on pseudo terminals
  Cloud     a pretend cloud broker; its link is cut for %v after each %v

In another terminal:
  edged sub --url mqtt://%s 'edged/#'

`, d.Version, at, cutFor, upFor, at)
}

// stop ends every part, the last one first.
func (d *demo) stop() error { return d.stopLast(len(d.parts)) }

// stopLast ends the n parts that were started last.
func (d *demo) stopLast(n int) error {
	var all []error
	for range n {
		p := d.parts[len(d.parts)-1]
		d.parts = d.parts[:len(d.parts)-1]
		p.stop()
		select {
		case err := <-p.done:
			if err != nil {
				all = append(all, fmt.Errorf("%s: %w", p.name, err))
			}
		case <-time.After(6 * time.Second):
			all = append(all, fmt.Errorf("%s does not stop", p.name))
		}
	}
	return errors.Join(all...)
}

// backlog is how many messages the gateway still owes the cloud.
func (d *demo) backlog() uint64 {
	s, _ := d.gateway.Broker().Session("edged-uplink")
	return s.Messages
}
