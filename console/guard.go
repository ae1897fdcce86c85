// SPDX-License-Identifier: Apache-2.0

package console

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
)

// guard judges every request before a page sees it. What is refused here has told nothing of the gateway.
func (c *Console) guard(pages http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.answers.Add(1)
		defer c.answers.Done()
		defer c.contain(w, r)
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 { // nothing here takes a body
			h.Set("Connection", "close")
		}
		switch code, why := c.judge(r); {
		case code == http.StatusOK:
			pages.ServeHTTP(w, r)
		default:
			if code == http.StatusUnauthorized {
				h.Set("WWW-Authenticate", `Basic realm="edged", charset="UTF-8"`)
			}
			if code == http.StatusMethodNotAllowed {
				h.Set("Allow", strings.Join(methods(r.URL.Path), ", "))
			}
			c.refuse(w, code, why)
		}
	})
}

// judge tells what a request gets: 200 if it may be answered, or another code and why not.
func (c *Console) judge(r *http.Request) (code int, why string) {
	host := hostName(r.Host)
	if !c.ours(host) {
		return http.StatusMisdirectedRequest, fmt.Sprintf("%.100q is no name of this gateway; use %s", r.Host, c.names())
	}
	if origin := r.Header.Values("Origin"); len(origin) > 0 && !sameOrigin(origin, host) {
		return http.StatusForbidden, "pages of other sites may not ask here"
	}
	if allowed := methods(r.URL.Path); !slices.Contains(allowed, r.Method) {
		return http.StatusMethodNotAllowed, "only " + strings.Join(allowed, " and ") + " is answered here"
	}
	if !safe(r) {
		return http.StatusForbidden, "pages of other sites may not ask here"
	}
	if !c.cfg.Local() {
		return c.login(r)
	}
	return http.StatusOK, ""
}

// methods are those by which a path may be asked.
func methods(path string) []string {
	if path == doctorPath {
		return []string{http.MethodPost}
	}
	return []string{http.MethodGet, http.MethodHead}
}

// contain keeps a panic to the one request that met it.
func (c *Console) contain(w http.ResponseWriter, r *http.Request) {
	x := recover()
	if x == nil {
		return
	}
	c.log.Error("a request panicked", "path", r.URL.Path, "panic", x, "stack", string(debug.Stack()))
	c.refuse(w, http.StatusInternalServerError, "this is a defect; the log has more")
}

// ours tells whether a name can only be meant for this console. A page of evil.example can have that name resolved to a
// loopback address, and would then be asked by the reader's own browser; an address or localhost nobody can have
// resolved otherwise.
func (c *Console) ours(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return !c.cfg.Local() || ip.Unmap().IsLoopback()
	}
	configured, _, err := net.SplitHostPort(c.cfg.Listen)
	if host == "" || host == "localhost" || err == nil && host == strings.ToLower(configured) {
		return host != ""
	}
	// Elsewhere the browser has held the name against the certificate before it says anything.
	return !c.cfg.Local()
}

// names are those that a client may use.
func (c *Console) names() string {
	if c.cfg.Local() {
		return "localhost or 127.0.0.1"
	}
	return "its address"
}

// sameOrigin tells whether a page came from the host that it asks.
func sameOrigin(origin []string, host string) bool {
	if len(origin) != 1 {
		return false
	}
	u, err := url.Parse(origin[0])
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.User == nil && hostName(u.Host) == host
}

// hostName is the host of HOST or HOST:PORT, without brackets, in lower case.
func hostName(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(hostPort, "["), "]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// login asks for the name and password of one of the broker's users.
func (c *Console) login(r *http.Request) (code int, why string) {
	user, password, given := r.BasicAuth()
	if !given {
		return http.StatusUnauthorized, "log in with the name and password of one of the broker's users"
	}
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err == nil {
		err = c.deps.Login(r.Context(), address, user, []byte(password))
	}
	switch {
	case err == nil:
		return http.StatusOK, ""
	case errors.Is(err, ErrRights):
		return http.StatusForbidden, ErrRights.Error()
	case errors.Is(err, ErrLogin):
		return http.StatusUnauthorized, ErrLogin.Error()
	}
	return http.StatusTooManyRequests, ErrBusy.Error()
}
