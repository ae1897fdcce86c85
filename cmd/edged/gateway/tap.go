// SPDX-License-Identifier: Apache-2.0

package gateway

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"edged/bridge/port/capture"
)

// tapped is what goes over the port of a device.
type tapped struct {
	about  string
	pieces <-chan capture.Piece
	stop   func()
}

// tap listens to the port of a device; ok is false where there is no such device.
func (g *Gateway) tap(device string) (t tapped, ok bool) {
	for _, m := range g.devices() {
		if m.cfg.Name == device {
			t.about = fmt.Sprintf("device %s, driver %s, port %s", device, m.cfg.Driver, m.cfg.Port)
			t.pieces, t.stop = g.ports.Tap(device)
			return t, true
		}
	}
	return t, false
}

// settleEvery is how often text that was not ended is looked after.
const settleEvery = 100 * time.Millisecond

// serveTap answers with a capture that goes on until the client leaves or the gateway ends.
func (c *control) serveTap(ctx context.Context, w http.ResponseWriter, r *http.Request) {
	device := r.URL.Query().Get("device")
	t, ok := c.tap(device)
	if !ok {
		http.Error(w, fmt.Sprintf("there is no device %q", device), http.StatusNotFound)
		return
	}
	defer t.stop()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	lines, err := capture.NewWriter(w, t.about)
	flush := http.NewResponseController(w).Flush
	look := time.NewTicker(settleEvery)
	defer look.Stop()
	for err == nil {
		if err = flush(); err != nil {
			break
		}
		select {
		case <-ctx.Done():
			return
		case <-r.Context().Done():
			return
		case p := <-t.pieces:
			err = lines.Add(p)
		case now := <-look.C:
			err = lines.Settle(now)
		}
	}
	c.log.Debug("answering a request to listen to a port", "err", err)
}
