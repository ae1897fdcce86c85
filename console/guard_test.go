// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"edged/console/metrics"
)

// gateway is what a console shows in these tests.
type gateway struct {
	unready  []string
	status   func() any
	troubles chan Trouble
	doctor   func(context.Context) (any, error)
}

func (g *gateway) deps() Deps {
	g.troubles = make(chan Trouble, 16)
	if g.status == nil {
		g.status = func() any { return map[string]any{"schema": 1, "ok": true} }
	}
	if g.doctor == nil {
		g.doctor = func(context.Context) (any, error) { return map[string]any{"ok": true, "steps": []int{}}, nil }
	}
	return Deps{
		Doctor: g.doctor,
		Log:    slog.New(slog.DiscardHandler), Status: g.status, Unready: func() []string { return g.unready },
		Figures: func() metrics.Figures { return metrics.Figures{Gateway: "hall-3"} },
		Login: func(_ context.Context, _, user string, password []byte) error {
			switch {
			case user == "busy":
				return ErrBusy
			case string(password) != "right":
				return ErrLogin
			case user == "narrow":
				return ErrRights
			}
			return nil
		},
		Trouble: func(t Trouble) { g.troubles <- t },
	}
}

// ask has a console of that address answer a request.
func ask(t testing.TB, listen string, g *gateway, change func(*http.Request)) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest("GET", "/api/status", nil)
	r.Host = "127.0.0.1:8080"
	change(r)
	w := httptest.NewRecorder()
	New(Config{Listen: listen}, g.deps()).handler.ServeHTTP(w, r)
	return w
}

const local, open = "127.0.0.1:8080", "0.0.0.0:8443"

func TestWhoIsAnswered(t *testing.T) {
	login := func(user, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(user, password) }
	}
	host := func(h string) func(*http.Request) { return func(r *http.Request) { r.Host = h } }
	origin := func(all ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["Origin"] = all }
	}
	method := func(m string) func(*http.Request) { return func(r *http.Request) { r.Method = m } }
	for _, c := range []struct {
		name, listen string
		change       func(*http.Request)
		code         int
	}{
		{"nobody in particular", local, func(*http.Request) {}, 200},
		{"localhost", local, host("localhost:8080"), 200},
		{"localhost in capitals with a dot", local, host("LOCALHOST.:8080"), 200},
		{"another loopback address", local, host("127.9.9.9"), 200},
		{"loopback of IPv6", local, host("[::1]:8080"), 200},
		{"loopback of IPv4 in IPv6", local, host("[::ffff:127.0.0.1]:8080"), 200},
		{"a name that resolves to us", local, host("evil.example:8080"), 421},
		{"a name below localhost", local, host("localhost.evil.example"), 421},
		{"an address that is not ours", local, host("10.0.0.1"), 421},
		{"no host", local, host(""), 421},
		{"a host of a port only", local, host(":8080"), 421},
		{"the configured name", "gateway.example:8443", func(r *http.Request) { r.Host = "gateway.example:8443"; r.SetBasicAuth("anna", "right") }, 200},
		{"a page of ours", local, origin("http://127.0.0.1:8080"), 200},
		{"a page of another port of ours", local, origin("http://127.0.0.1:3000"), 200},
		{"a page of another site", local, origin("https://evil.example"), 403},
		{"a page without an origin", local, origin("null"), 403},
		{"two origins", local, origin("http://127.0.0.1:8080", "https://evil.example"), 403},
		{"HEAD", local, method("HEAD"), 200},
		{"POST", local, method("POST"), 405},
		{"a method that nobody knows", local, method("BREW"), 405},
		{"no login on loopback", local, login("anna", "wrong"), 200},
		{"no login off loopback", open, func(*http.Request) {}, 401},
		{"wrong password", open, login("anna", "wrong"), 401},
		{"right password", open, login("anna", "right"), 200},
		{"a user with too few rights", open, login("narrow", "right"), 403},
		{"too many failures", open, login("busy", "right"), 429},
		{"a bearer", open, func(r *http.Request) { r.Header.Set("Authorization", "Bearer right") }, 401},
	} {
		w := ask(t, c.listen, &gateway{}, c.change)
		if w.Code != c.code {
			t.Errorf("%s: %d, want %d: %s", c.name, w.Code, c.code, w.Body)
		}
		if c.code != 200 && strings.Contains(w.Body.String(), "schema") {
			t.Errorf("%s: a refusal tells %s", c.name, w.Body)
		}
		if got := w.Header().Get("WWW-Authenticate"); (got != "") != (c.code == 401) {
			t.Errorf("%s: %d with WWW-Authenticate %q", c.name, w.Code, got)
		}
		if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: the headers are %v", c.name, w.Header())
		}
	}
}

// What acts is asked by POST, and not by a page of another site, whichever way its browser says so.
func TestWhoMayHaveTheCloudLookedInto(t *testing.T) {
	with := func(headers ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				r.Header.Set(headers[i], headers[i+1])
			}
		}
	}
	for _, c := range []struct {
		name, listen, method string
		change               func(*http.Request)
		code                 int
	}{
		{"a program", local, "POST", with(), 200},
		{"a page of ours", local, "POST", with("Origin", "http://127.0.0.1:8080", "Sec-Fetch-Site", "same-origin"), 200},
		{"a page of ours in an old browser", local, "POST", with("Origin", "http://127.0.0.1:8080"), 200},
		{"GET", local, "GET", with(), 405},
		{"HEAD", local, "HEAD", with(), 405},
		{"a page of another site", local, "POST", with("Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"), 403},
		{"a page of another site in an old browser", local, "POST", with("Origin", "https://evil.example"), 403},
		{"a page of another site that hides itself", local, "POST", with("Sec-Fetch-Site", "cross-site"), 403},
		{"a page of another port of this machine", local, "POST", with("Origin", "http://127.0.0.1:3000", "Sec-Fetch-Site", "same-site"), 403},
		{"the same in an old browser", local, "POST", with("Origin", "http://127.0.0.1:3000"), 403},
		{"nobody in particular off loopback", open, "POST", with(), 401},
		{"a user", open, "POST", func(r *http.Request) { r.SetBasicAuth("anna", "right") }, 200},
		{"a user with too few rights", open, "POST", func(r *http.Request) { r.SetBasicAuth("narrow", "right") }, 403},
		{"the browser of a user, for another site", open, "POST", func(r *http.Request) {
			r.SetBasicAuth("anna", "right")
			r.Header.Set("Origin", "https://evil.example")
		}, 403},
	} {
		looked := false
		g := &gateway{doctor: func(context.Context) (any, error) { looked = true; return map[string]bool{"ok": true}, nil }}
		w := ask(t, c.listen, g, func(r *http.Request) {
			r.Method, r.URL.Path = c.method, doctorPath
			c.change(r)
		})
		if w.Code != c.code || looked != (c.code == 200) {
			t.Errorf("%s: %d, want %d; looked: %t", c.name, w.Code, c.code, looked)
		}
		if c.code == 405 && w.Header().Get("Allow") != "POST" {
			t.Errorf("%s: allowed is %q", c.name, w.Header().Get("Allow"))
		}
	}
}

func TestWhatTheDoctorCannotTell(t *testing.T) {
	for want, found := range map[int]error{404: nil, 503: errors.New("broken")} {
		g := &gateway{doctor: func(context.Context) (any, error) { return nil, found }}
		w := ask(t, local, g, func(r *http.Request) { r.Method, r.URL.Path = "POST", doctorPath })
		if w.Code != want || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%v: %d %s, want %d", found, w.Code, w.Body, want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, c := range []struct {
		path string
		code int
		want string
	}{
		{"/api/status", 200, `"schema":1`},
		{"/healthz", 200, `{"ok":true}`},
		{"/readyz", 200, `{"ready":true}`},
		{"/metrics", 200, `edged_info{gateway="hall-3"`},
		{"/", 404, "there is nothing at this path; there are /api/doctor/cloud, /api/status, /healthz, /metrics, /readyz"},
		{"/metrics/", 404, "nothing"},
		{"/API/status", 404, "nothing"},
		{"//metrics", 404, "nothing"},
		{"/api/../metrics", 404, "nothing"},
		{"/debug/pprof/", 404, "nothing"},
	} {
		w := ask(t, local, &gateway{}, func(r *http.Request) { r.URL.Path = c.path })
		if w.Code != c.code || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s: %d %s, want %d with %s", c.path, w.Code, w.Body, c.code, c.want)
		}
		if c.path != "/metrics" && !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s: no JSON: %s", c.path, w.Body)
		}
	}
}

func TestNotReadySaysWhy(t *testing.T) {
	g := &gateway{unready: []string{"E602: the disk fails"}}
	w := ask(t, local, g, func(r *http.Request) { r.URL.Path = "/readyz" })
	if w.Code != 503 || !strings.Contains(w.Body.String(), "E602: the disk fails") {
		t.Errorf("not ready: %d %s", w.Code, w.Body)
	}
	if w := ask(t, local, g, func(r *http.Request) { r.URL.Path = "/healthz" }); w.Code != 200 {
		t.Errorf("a gateway that is not ready lives: %d %s", w.Code, w.Body)
	}
}

func TestPanicEndsOneRequestOnly(t *testing.T) {
	g := &gateway{status: func() any { panic("a defect") }}
	if w := ask(t, local, g, func(*http.Request) {}); w.Code != 500 || !json.Valid(w.Body.Bytes()) {
		t.Errorf("a page that panics: %d %s", w.Code, w.Body)
	}
}

// FuzzRequest: whatever is asked, only whose name is ours is told anything, and every answer is JSON or the metrics.
func FuzzRequest(f *testing.F) {
	f.Add("127.0.0.1:8080", "/api/status", "", "GET", "")
	f.Add("evil.example", "/metrics", "http://127.0.0.1", "HEAD", "Basic YTpi")
	f.Add("[::1", "/readyz\x00", "http://[::1]:80", "POST", "Basic \xff")
	f.Fuzz(func(t *testing.T, host, path, origin, method, authorization string) {
		for _, listen := range []string{local, open} {
			w := ask(t, listen, &gateway{}, func(r *http.Request) {
				r.Host, r.URL.Path, r.Method = host, path, method
				r.Header.Set("Origin", origin)
				r.Header.Set("Authorization", authorization)
			})
			loopback := strings.Contains(strings.ToLower(host), "localhost") || strings.Contains(host, "127.") || strings.Contains(host, ":")
			if w.Code == 200 && listen == local && !loopback {
				t.Errorf("%q is answered under the name %q", path, host)
			}
			if w.Code == 200 && listen == open && !strings.HasPrefix(strings.ToLower(authorization), "basic ") {
				t.Errorf("%q is answered without a login", path)
			}
			if path != "/metrics" && !json.Valid(w.Body.Bytes()) {
				t.Errorf("%q: %d with %q", path, w.Code, w.Body)
			}
		}
	})
}
