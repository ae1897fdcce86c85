// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"edged/broker"
	"edged/uplink"
)

// MQTTProtocol is what a command names in the Upgrade header of a request to /mqtt on the control socket; after the
// answer 101 the connection carries MQTT, with all rights.
const MQTTProtocol = "mqtt"

// control is the socket through which commands reach the running gateway: HTTP over a unix socket that only root and
// the group edged may open.
type control struct {
	status func() Status
	reload func(context.Context) (Reloaded, error)
	dial   func(broker.Identity) (net.Conn, error)
	doctor func(context.Context, func(uplink.Finding)) (*CloudDoctor, error)
	tap    func(device string) (tapped, bool)
	log    *slog.Logger
}

// listen makes the socket. One that a crashed run left behind is replaced; a live one cannot be there, since the state
// directory is locked.
func (c *control) listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("remove the old control socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(fmt.Errorf("set the mode of the control socket: %w", err), l.Close())
	}
	if g, err := user.LookupGroup("edged"); err == nil {
		if gid, err := strconv.Atoi(g.Gid); err == nil {
			if err := os.Chown(path, -1, gid); err != nil {
				c.log.Debug("the control socket keeps its group", "err", err)
			}
		}
	}
	return l, nil
}

// run answers on the listener until ctx ends.
func (c *control) run(ctx context.Context, l net.Listener) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.serveStatus)
	mux.HandleFunc("POST /reload", c.serveReload)
	mux.HandleFunc("POST /doctor/cloud", c.serveDoctor)
	mux.HandleFunc("GET /tap", func(w http.ResponseWriter, r *http.Request) { c.serveTap(ctx, w, r) })
	var piped sync.WaitGroup
	mux.HandleFunc("POST /mqtt", func(w http.ResponseWriter, r *http.Request) {
		piped.Add(1)
		defer piped.Done()
		c.serveMQTT(ctx, w)
	})
	s := &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		MaxHeaderBytes:    8 << 10,
		ErrorLog:          slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() {
		if err := s.Close(); err != nil {
			c.log.Debug("closing the control socket", "err", err)
		}
	})
	defer stop()
	err := s.Serve(l)
	piped.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the control socket: %w", err)
}

func (c *control) serveStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(c.status()); err != nil {
		c.log.Debug("answering a status request", "err", err)
	}
}

// serveReload has the configuration read again and tells what came of it.
func (c *control) serveReload(w http.ResponseWriter, r *http.Request) {
	done, err := c.reload(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(done); err != nil {
		c.log.Debug("answering a request to reload", "err", err)
	}
}

// serveMQTT turns the request's connection into an MQTT connection to the broker.
func (c *control) serveMQTT(ctx context.Context, w http.ResponseWriter) {
	inside, err := c.dial(broker.Identity{Publish: []string{"#"}, Subscribe: []string{"#", "$SYS/#"}})
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	outside, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		c.close(inside)
		return
	}
	if err := outside.SetDeadline(time.Time{}); err != nil {
		c.log.Debug("control connection", "err", err)
	}
	stop := context.AfterFunc(ctx, func() { c.close(inside, outside) })
	defer stop()
	if _, err := io.WriteString(outside, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+MQTTProtocol+"\r\n\r\n"); err != nil {
		c.close(inside, outside)
		return
	}
	var both sync.WaitGroup
	both.Go(func() { c.pipe(inside, buf.Reader, inside, outside) })
	both.Go(func() { c.pipe(outside, inside, inside, outside) })
	both.Wait()
}

// pipe copies until one side ends, then closes both.
func (c *control) pipe(to io.Writer, from io.Reader, ends ...net.Conn) {
	if _, err := io.Copy(to, from); err != nil && !errors.Is(err, net.ErrClosed) {
		c.log.Debug("control connection", "err", err)
	}
	c.close(ends...)
}

func (c *control) close(conns ...net.Conn) {
	for _, x := range conns {
		if err := x.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			c.log.Debug("closing a control connection", "err", err)
		}
	}
}
