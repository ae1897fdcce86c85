// SPDX-License-Identifier: Apache-2.0

package console

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"edged/console/metrics"
)

// pages answers requests that the guard let through. A path is one of these exactly, or nothing.
func (c *Console) pages() http.Handler {
	all := map[string]http.Handler{
		doctorPath:    http.HandlerFunc(c.serveDoctor),
		"/api/status": http.HandlerFunc(c.serveStatus),
		"/healthz":    http.HandlerFunc(c.serveHealth),
		"/metrics":    metrics.New(c.deps.Figures),
		"/readyz":     http.HandlerFunc(c.serveReady),
	}
	nothing := "there is nothing at this path; there are " + strings.Join(slices.Sorted(maps.Keys(all)), ", ")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := all[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		c.refuse(w, http.StatusNotFound, nothing)
	})
}

// serveStatus answers with the same document as edged status --json.
func (c *Console) serveStatus(w http.ResponseWriter, _ *http.Request) {
	c.answer(w, http.StatusOK, c.deps.Status())
}

// serveHealth says that the process lives, which it does if it answers.
func (c *Console) serveHealth(w http.ResponseWriter, _ *http.Request) {
	c.answer(w, http.StatusOK, map[string]any{"ok": true})
}

// serveReady says whether the broker accepts and the journal is writable, and if not, why.
func (c *Console) serveReady(w http.ResponseWriter, _ *http.Request) {
	if why := c.deps.Unready(); len(why) > 0 {
		c.answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reasons": why})
		return
	}
	c.answer(w, http.StatusOK, map[string]any{"ready": true})
}

// refuse answers with why a request is not served.
func (c *Console) refuse(w http.ResponseWriter, code int, why string) {
	c.answer(w, code, map[string]string{"error": why})
}

func (c *Console) answer(w http.ResponseWriter, code int, document any) {
	b, err := json.Marshal(document)
	if err != nil {
		c.log.Error("an answer cannot be written", "err", err)
		code, b = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written; see the log"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	if _, err := w.Write(append(b, '\n')); err != nil {
		c.log.Debug("answering a request", "err", err)
	}
}
